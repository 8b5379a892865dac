"""The chain on a standalone cluster of Spark's: a master and two workers on loopback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.flows.conftest import free_port, stop, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SETTINGS = (
    *("--dataset", "synthetic:users=300,items=150,ratings=9000"),
    *("--set", "tuning.algorithms=als-spark", "--set", "tuning.n_trials=2", "--set", "tuning.validation=single"),
    *("--set", "tuning.space.als-spark={max_iter=12, n_blocks=2, n_factors=8}"),
    *("--set", "evaluation.max_baseline_items=0", "--set", 'spark.settings={"spark.executor.memory"="700m"}'),
)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a master with two workers of one core each."""
    import pyspark

    home, folder = Path(pyspark.__file__).parent, tmp_path_factory.mktemp("spark")
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    port, page = free_port(), free_port()
    url = f"spark://127.0.0.1:{port}"
    own = f"org.apache.spark.deploy.master.Master --host 127.0.0.1 --port {port} --webui-port {page}"
    commands = [own.split()]
    for number in range(2):
        place = f"--host 127.0.0.1 --webui-port 0 --work-dir {folder}/{number}"
        commands.append(f"org.apache.spark.deploy.worker.Worker --cores 1 --memory 1g {place} {url}".split())
    processes = []
    try:
        for command in commands:
            with (folder / "log").open("ab") as log:
                spark_class = str(home / "bin" / "spark-class")
                processes.append(
                    subprocess.Popen(
                        [spark_class, *command], stdout=log, stderr=log, env=environment, start_new_session=True
                    )
                )
            wait_for(f"http://127.0.0.1:{page}", processes[0])
        deadline = time.monotonic() + 120
        while (folder / "log").read_text().count("Registering worker") < 2:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.5)
        yield url
    finally:
        for process in reversed(processes):
            stop(process)


def mfcore(*arguments: str, **environment: str) -> Any:
    """The document of a command in a process of its own, since Spark's session lasts as long as a process."""
    command = [sys.executable, "-m", "mfcore", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_on_two_workers_ends_with_a_champion_and_the_lists_that_one_machine_makes(
    master: str, place: Path, prefect_server: dict[str, str]
) -> None:
    shared = place / "shared"
    on_spark = ("--set", f"spark.master={master}", "--set", f"spark.folder={shared}", "--set", "export.engine=spark")
    document = mfcore("run", *SETTINGS, *on_spark, **prefect_server)
    assert {head["algorithm"] for head in document["heads"].values()} == {"als-spark"}
    assert not list(shared.iterdir()), "ratings, factors, lists and checkpoints are removed"
    here = mfcore("export", *SETTINGS, **prefect_server, MFCORE_EXPORTS=str(place / "here"))
    assert not here["reused"]
    lists, others = (
        pd.read_parquet(Path(path) / "recommendations.parquet") for path in (document["export_path"], here["path"])
    )
    assert len(lists) == 20 * 300
    assert lists.equals(others)
