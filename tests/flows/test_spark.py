"""A real Spark master on loopback."""

import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.spark_cluster import spark_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("pyspark") is None, reason="Spark is not installed"),
]

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}


def ended(command: list[str], place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """How a command ends that has a folder, and so a session of Spark, of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MFCORE_", "MLFLOW_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {**kept, "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1", **environment}
    done = subprocess.run(command, cwd=place, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


WAITED = """
    import json, sys
    import numpy as np
    from mfcore.config import SparkConfig
    from mfcore.errors import SourceUnavailable
    from mfcore.models import spark

    spark.use_spark(SparkConfig(master=sys.argv[1], wait=5, settings=json.loads(sys.argv[2])))
    codes = np.arange(3, dtype=np.int32)
    try:
        spark.factorize(codes, codes, np.ones(3, np.float32), (3, 3), rank=1)
    except SourceUnavailable as error:
        print(error)
"""


def test_a_cluster_without_free_workers_is_given_up_in_time(tmp_path: Path) -> None:
    with spark_cluster(tmp_path, 0) as master:
        command = [sys.executable, "-c", textwrap.dedent(WAITED), master, json.dumps(SETTINGS)]
        said = ended(command, tmp_path).stdout
    assert said.startswith(f"Spark at {master} had no executor for the run within 5 s: ")
    assert len(said.splitlines()) == 1
