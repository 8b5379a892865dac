"""A standalone Spark cluster on loopback: a master and its workers, each a process of one core and 1 GB."""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.flows.conftest import free_port

_SMALL = {
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
}
"""For processes that only have to start soon; and no port that another master may have."""


@contextmanager
def spark_cluster(folder: Path, n_workers: int) -> Iterator[str]:
    """Its master's URL; all processes are stopped afterwards."""
    port, page = free_port(), free_port()
    master = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        ports = ("--port", str(port), "--webui-port", str(page))
        processes = [stack.enter_context(_started(folder / "master.log", "master.Master", *ports))]
        for number in range(n_workers):
            own = folder / f"worker-{number}"
            options = ("--cores", "1", "--memory", "1G", "--webui-port", "0", "--work-dir", str(own), master)
            processes.append(stack.enter_context(_started(folder / f"worker-{number}.log", "worker.Worker", *options)))
        deadline = time.monotonic() + 300
        while _state(page).get("aliveworkers") != n_workers:
            assert all(process.poll() is None for process in processes), (folder / "master.log").read_text()
            assert time.monotonic() < deadline, (folder / "master.log").read_text()
            time.sleep(0.5)
        yield master


def _state(page: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/json/", timeout=2) as answer:
            state: dict[str, Any] = json.load(answer)
            return state
    except OSError:
        return {}


@contextmanager
def _started(log: Path, role: str, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None
    home = Path(spec.origin).parent
    command = [str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}", "--host", "127.0.0.1", *options]
    with log.open("wb") as out:
        environment = {**os.environ, **_SMALL, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
