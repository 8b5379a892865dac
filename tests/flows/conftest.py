"""A home of its own for each test module, a real Prefect server, and the command as a user calls it."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, PREFECT_HOME, temporary_settings

SMALL = "synthetic:users=120,items=60,ratings=3000"
BIN = Path(sys.executable).parent


@dataclass
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


Mfcore = Callable[..., Outcome]


def ran(mfcore: Mfcore, *options: object) -> dict[str, Any]:
    """What a run of the whole chain, which has to come to its end, says in JSON; pages are made if they are wanted."""
    outcome = mfcore("run", "--json", *options)
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = outcome.document
    return document


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: "subprocess.Popen[bytes]", timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with {process.returncode} before {url} answered"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"{url} did not answer within {timeout} s")


def stop(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server on loopback with a data folder of its own; yields the environment that points to it."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    command = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"{environment['PREFECT_API_URL']}/health", server)
            yield environment
        finally:
            stop(server)


@contextlib.contextmanager
def connected(server: dict[str, str]) -> Iterator[SyncPrefectClient]:
    """A client of the server, which flows of this process use as well."""
    settings = {
        PREFECT_API_URL: server["PREFECT_API_URL"],
        PREFECT_HOME: server["PREFECT_HOME"],
        # Heartbeats cost a second at the end of each flow; the scheduled run keeps them.
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory of the module's own, with home, store and exports under it."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL"):
            patch.delenv(name, raising=False)
        yield place


@pytest.fixture(scope="module")
def mfcore(place: Path, prefect_server: dict[str, str]) -> Iterator[Mfcore]:
    """Call the command in this process: `mfcore("run", "--trials", "3")`."""
    from mfcore import cli

    def call(*arguments: object) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["mfcore", *map(str, arguments)])
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        return Outcome(code, out.getvalue(), err.getvalue())

    with connected(prefect_server):
        yield call
