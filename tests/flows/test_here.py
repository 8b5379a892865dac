"""A flow in this process, with a server that Prefect starts for it."""

import pytest

from flows.here import run_here
from mfcore.errors import SourceUnavailable


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
