"""Servers that are started and stopped together."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.servers.databases import SQLITE, choose
from flows.servers.processes import Process, spawn, wait_for
from flows.servers.stack import Options, Stack, down, up
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.health import silence_of
from mfcore.settings import Settings
from tests.flows.conftest import BIN, SMALL, free_port

ROOT = Path(__file__).parents[2]


STARTS = """
import sys
from pathlib import Path
from flows.servers.databases import start_postgresql

print(start_postgresql(Path(sys.argv[1]))[0].model_dump_json())
"""


def postgresql(folder: Path) -> Process:
    """One that a process has started which is over, as `mfcore up` is."""
    command = [sys.executable, "-c", STARTS, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Process.model_validate_json(done.stdout)


def test_a_killed_postgresql_that_nobody_waited_for_starts_again(tmp_path: Path) -> None:
    """Its process is there, dead, for as long as nobody does; in a container that may be for ever."""
    folder = tmp_path / "postgresql"
    first = postgresql(folder)
    said = (folder / "postmaster.pid").read_text()
    assert first.stop()
    with subprocess.Popen(["sleep", "600"]) as dead:
        dead.kill()
        while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        (folder / "postmaster.pid").write_text(said.replace(str(first.pid), str(dead.pid), 1))
        again = postgresql(folder)
        assert again.pid != dead.pid and again.stop()


def test_a_process_ends_with_all_it_started(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('up', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", f"{script}; import time; time.sleep(600)"]
    process = spawn("sleeper", command, os.environ, tmp_path / "log", None)
    while not process.log.read_text():
        time.sleep(0.05)
    [child] = psutil.Process(process.pid).children()
    assert process.is_alive and Process.model_validate_json(process.model_dump_json()).is_alive
    assert process.stop()
    assert not process.is_alive and not child.is_running()
    assert not process.stop()


def test_what_a_killed_process_had_started_is_ended_too(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600']); print('up', flush=True)"
    process = spawn(
        "sleeper", [sys.executable, "-c", f"{script}; import time; time.sleep(600)"], os.environ, tmp_path / "log", None
    )
    while not process.log.read_text():
        time.sleep(0.05)
    [child] = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive:
        time.sleep(0.05)
    assert child.is_running()
    assert not process.stop()
    assert not child.is_running()


def test_another_process_of_the_same_number_is_left_alone(tmp_path: Path) -> None:
    process = spawn("sleeper", ["sleep", "600"], os.environ, tmp_path / "log", None)
    stranger = process.model_copy(update={"began": process.began - 60})
    assert not stranger.is_alive and not stranger.stop()
    assert process.is_alive
    process.stop()


def test_a_server_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/health"
    process = spawn("failing", ["false"], os.environ, tmp_path / "log", url)
    with pytest.raises(SourceUnavailable, match=r"failing ended before it answered at .*/log"):
        wait_for(process)
    assert silence_of(url) is not None


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 10_000_001)
    spawn("brief", ["true"], os.environ, log, None).stop()
    assert log.stat().st_size == 0
    assert log.with_suffix(".old").stat().st_size == 10_000_001


def test_databases_stay_where_they_are() -> None:
    assert choose("sqlite", None) == choose(None, "sqlite") == SQLITE
    server = "postgresql://mfcore:${PASSWORD}@db"
    assert choose(None, server) == server
    with pytest.raises(UsageError, match="lie in sqlite, not postgresql"):
        choose(server, "sqlite")
    with pytest.raises(UsageError, match="password"):
        choose("postgresql://mfcore:secret@db", None)
    with pytest.raises(UsageError, match="neither"):
        choose("mysql://db", None)


def test_up_says_what_is_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read({"MFCORE_HOME": str(tmp_path / "home")})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"no deployment/prefect\.yaml here"):
        up(settings, Options(), print)
    monkeypatch.chdir(ROOT)
    port = free_port()
    squatter = spawn("squatter", [sys.executable, "-m", "http.server", str(port)], os.environ, tmp_path / "log", None)
    try:
        deadline = time.monotonic() + 20
        while silence_of(f"http://127.0.0.1:{port}") is not None and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(UsageError, match=f"port {port}, for Prefect, is taken"):
            up(settings, Options(prefect_port=port, database=SQLITE), print)
        down(settings, print)
        assert squatter.is_alive
    finally:
        squatter.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's root whose deployments work on few synthetic ratings."""
    (tmp_path / "flows").symlink_to(ROOT / "flows")
    (tmp_path / "deployment").mkdir()
    tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
    for deployment in tree["deployments"]:
        if "parameters" in deployment:
            small = {"dataset": {"name": SMALL}, "tuning": {"n_trials": 2, "algorithms": ["als"]}}
            deployment["parameters"] = {"config": small}
    (tmp_path / "deployment" / "prefect.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_from_nothing_to_a_night(project: Path) -> None:
    """The block under "Every night", pasted into a shell; then a kill, a second `up`, and `down`."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Every night")[2]
    block = re.search(r"```\n(.*?)```", section, re.S)
    assert block is not None
    ports = f"--prefect-port {free_port()} --mlflow-port {free_port()}"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PREFECT_API_URL", "MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")
    }
    environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(project)}

    def bash(script: str) -> "subprocess.CompletedProcess[str]":
        script = script.replace("mfcore up", f"mfcore up {ports}")
        return subprocess.run(
            ["bash", "-ec", script], cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    def stack() -> Stack:
        found = Stack.read(project / ".mfcore")
        assert found is not None
        return found

    try:
        night = bash(block[1])
        assert night.returncode == 0, night.stdout + night.stderr
        first = stack().processes
        assert {"Prefect", "MLflow", "worker"} <= {one.name for one in first}

        again = bash("mfcore up")
        assert again.returncode == 0, again.stderr
        assert stack().processes == first

        worker = stack().process("worker")
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        dead = bash("mfcore status --json")
        assert dead.returncode == 6
        findings: list[dict[str, Any]] = json.loads(dead.stdout)
        assert [one["what"] for one in findings if one["status"] == "fail"] == ["worker"]
        revived = bash("mfcore up && mfcore status")
        assert revived.returncode == 0, revived.stdout + revived.stderr
        everything = [one for process in stack().processes for one in _family(process)]
    finally:
        stopped = bash("mfcore down")
    assert stopped.returncode == 0, stopped.stderr
    assert not [one for one in everything if one.is_running()]
    assert bash("mfcore status").returncode == 6
    latest = next((project / "exports").glob("*/latest/manifest.json"))
    assert json.loads(latest.read_text())["model_version"] == 1
    shutil.rmtree(project / ".mfcore")


def _family(process: Process) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [parent, *parent.children(recursive=True)]
