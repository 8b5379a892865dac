"""What a flow that runs in the command's own process starts, and what it does without a server."""

import os
import subprocess
import sys
import time

import pytest

from flows.here import run_here
from mfcore.errors import SourceUnavailable, UsageError
from tests.flows.conftest import free_port

HOLDER = """
import subprocess
from flows.here import end_with_us
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
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def fails(error: Exception) -> None:
        raise error

    nobody = {PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}
    with temporary_settings(nobody), pytest.raises(SourceUnavailable, match="does not answer"):
        run_here(fails, KeyError("not called"))


def test_only_a_server_that_is_gone_is_blamed(prefect_server: dict[str, str]) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def fails(error: Exception) -> None:
        raise error

    with temporary_settings({PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}):
        for error in (KeyError("a defect"), UsageError("a mistake")):
            with pytest.raises(type(error)):
                run_here(fails, error)


def test_a_temporary_server_that_is_too_slow_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    server = SubprocessASGIServer()  # the one that is started: there is one per port
    too_soon = {PREFECT_API_URL: None, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 0}
    with temporary_settings(too_soon), pytest.raises(SourceUnavailable, match="temporary server does not start") as one:
        run_here(lambda: pytest.fail("ran without a server"))
    assert one.value.exit_code == 4
    assert len(str(one.value).splitlines()) == 2
    assert server.server_process is None, "the server is still there"
