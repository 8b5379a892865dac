"""Running a flow in this process, as the command does."""

import os
import signal
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from httpx import HTTPError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED,
    PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED,
    temporary_settings,
)

from mfcore.errors import SourceUnavailable, first_line

__all__ = ["run_here"]

P = ParamSpec("P")
R = TypeVar("R")


def run_here(flow: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `flow`, and return what it returns.

    Without a server to look after the run, nobody reads its heartbeats and events. Heartbeats
    cost a second at the end of each flow. Events, written by the temporary server into its
    SQLite file while it answers, now and then lock an answer out for a minute. The server is
    kept from Ctrl-C, which is for the flow: without it no flow comes to an orderly end.
    """
    if os.environ.get("PREFECT_API_URL"):
        return flow(*args, **kwargs)
    alone = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED: False,
        PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED: False,
    }
    with temporary_settings(alone):
        if not PREFECT_API_URL.value():
            _start_server()
        return flow(*args, **kwargs)


def _start_server() -> None:
    """Start the server that Prefect would start by itself, and wait until it answers.

    Raises:
        SourceUnavailable: it does not, in the time that Prefect's settings give it.
    """
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    # A process begins with the signals blocked that are blocked where it is started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.start()
    except (RuntimeError, OSError, HTTPError) as error:
        server.stop()
        raise SourceUnavailable(
            f"Prefect's temporary server does not start: {first_line(error)}.\n"
            "Try again, give it more time (PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, in s), "
            "or start a server (prefect server start) and set PREFECT_API_URL to its address."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
