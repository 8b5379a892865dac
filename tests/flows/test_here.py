"""What a flow that runs in the command's own process starts, and what it does without a server."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from flows import here
from flows.here import run_here
from flows.temporary_server import TemporaryServer, is_lasting
from mfcore.errors import SourceUnavailable, UsageError
from tests.flows.conftest import free_port

HOLDER = """
import subprocess
from flows.parentage import end_with_us
process = subprocess.Popen(["sleep", "300"])
end_with_us(process.pid)
print(process.pid, flush=True)
input()
process.kill()
"""


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:  # it may be ended, and nobody has asked how
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("is_killed", [True, False])
def test_what_was_started_ends_with_the_command(is_killed: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert is_running(pid)
        if is_killed:
            holder.kill()
        else:
            holder.communicate("\n", timeout=30)
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_is_gone_is_one_line() -> None:
    def fails(error: Exception) -> None:
        raise error

    nobody = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(nobody), pytest.raises(SourceUnavailable, match="does not answer"):
        run_here(lambda: fails, KeyError("not called"))


def test_a_server_that_accepts_and_says_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "_ANSWER_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {PREFECT_API_URL: f"http://127.0.0.1:{silent.getsockname()[1]}/api"}
        with (
            temporary_settings(address),
            pytest.raises(SourceUnavailable, match=r"does not answer \(timed out\): start"),
        ):
            run_here(lambda: pytest.fail, "not called")


def test_only_a_server_that_is_gone_is_blamed(prefect_server: dict[str, str]) -> None:
    def fails(error: Exception) -> None:
        raise error

    with temporary_settings({PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}):
        for error in (KeyError("a defect"), UsageError("a mistake")):
            with pytest.raises(type(error)):
                run_here(lambda: fails, error)


@pytest.mark.slow
def test_a_temporary_server_answers_until_it_is_stopped() -> None:
    server = TemporaryServer()
    server.wait()
    with temporary_settings({PREFECT_API_URL: server.url}):
        assert not is_lasting()
        assert httpx.get(f"{server.url}/version", timeout=30).status_code == 200
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


def test_a_temporary_server_that_is_too_slow_is_one_clear_error() -> None:
    too_soon = {PREFECT_API_URL: None, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 1}
    before = {child.pid for child in psutil.Process().children()}
    with temporary_settings(too_soon), pytest.raises(SourceUnavailable, match="temporary server does not start") as one:
        run_here(lambda: lambda: pytest.fail("ran without a server"))
    assert one.value.exit_code == 4
    assert len(str(one.value).splitlines()) == 2
    left = [child for child in psutil.Process().children() if child.pid not in before]
    assert not [child for child in left if "flows.temporary_api" in child.cmdline()], "the server is still there"


def test_a_folder_that_prefect_cannot_make_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        temporary_settings({PREFECT_HOME: tmp_path / "file" / "prefect"}),
        pytest.raises(UsageError, match=r"file/prefect: .*Not a directory.* Set PREFECT_HOME to one"),
    ):
        TemporaryServer()


@pytest.mark.slow
def test_a_temporary_server_that_dies_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////nowhere/at/all.db")
    with pytest.raises(SourceUnavailable, match="temporary server does not start"):
        TemporaryServer().wait()
