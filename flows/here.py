"""Running a flow in this process, as the command does."""

import atexit
import signal
import subprocess
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED,
    PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED,
    temporary_settings,
)

from mfcore.errors import MfcoreError, SourceUnavailable, first_line
from mfcore.health import silence_of

__all__ = ["end_with_us", "run_here"]

P = ParamSpec("P")
R = TypeVar("R")

_ANSWER_TIMEOUT_S = 10.0


def run_here(flow: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `flow`, and return what it returns.

    Without a server to look after the run, nobody reads its heartbeats and events. Heartbeats
    cost a second at the end of each flow. Events, written by the temporary server into its
    SQLite file while it answers, now and then lock an answer out for a minute. The server is
    kept from Ctrl-C, which is for the flow: without it no flow comes to an orderly end.

    Raises:
        SourceUnavailable: Prefect's server does not answer, or no longer.
    """
    url = PREFECT_API_URL.value()
    if url:
        _require_server(url)
        try:
            return flow(*args, **kwargs)
        except MfcoreError:
            raise
        except Exception:
            _require_server(url)
            raise
    alone = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED: False,
        PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED: False,
    }
    with temporary_settings(alone):
        _start_server()
        return flow(*args, **kwargs)


def end_with_us(pid: int) -> None:
    """Have a process killed when this one is gone, even if that is killed itself.

    The shell that sees to it waits for the end of a pipe, which closes with whoever holds it.
    """
    watch = ["/bin/sh", "-c", 'read -r _; kill -KILL "$0"', str(pid)]
    # Not of our group, or what kills that kills it too.
    watcher = subprocess.Popen(
        watch, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    atexit.register(_dismiss, watcher)


def _dismiss(watcher: "subprocess.Popen[bytes]") -> None:
    """In an orderly end, who started a process ends it."""
    watcher.kill()
    watcher.communicate()


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
    except (RuntimeError, OSError, httpx.HTTPError) as error:
        server.stop()
        raise SourceUnavailable(
            f"Prefect's temporary server does not start: {first_line(error)}.\n"
            "Try again, give it more time (PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, in s), "
            "or start a server (prefect server start) and set PREFECT_API_URL to its address."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if server.server_process is not None:
        end_with_us(server.server_process.pid)


def _require_server(url: str) -> None:
    reason = silence_of(f"{url.rstrip('/')}/health", _ANSWER_TIMEOUT_S)
    if reason is not None:
        raise SourceUnavailable(
            f"Prefect's server at {url} does not answer ({reason}): start it, or unset PREFECT_API_URL to do without."
        )
