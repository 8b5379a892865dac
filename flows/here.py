"""Running a flow in this process, as the command does."""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.temporary_server import TemporaryServer
from mfcore.errors import MfcoreError, SourceUnavailable
from mfcore.health import silence_of

__all__ = ["run_here"]

P = ParamSpec("P")
R = TypeVar("R")

_ANSWER_TIMEOUT_S = 10.0


def run_here(load: Callable[[], Callable[P, R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call the flow that `load` returns, and return what it returns.

    Where no server is configured, a temporary one starts while `load` imports what the flow needs.
    Nobody looks after the run then, so that it sends no heartbeats, which cost a second at the end
    of each flow.

    Raises:
        SourceUnavailable: Prefect's server does not answer, or no longer.
    """
    url = PREFECT_API_URL.value()
    if url:
        _require_server(url)
        try:
            return load()(*args, **kwargs)
        except MfcoreError:
            raise
        except Exception:
            _require_server(url)
            raise
    server = _temporary_server()
    flow = load()
    try:
        server.wait()
    except SourceUnavailable:
        _temporary_server.cache_clear()
        raise
    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return flow(*args, **kwargs)


@cache
def _temporary_server() -> TemporaryServer:
    """The process's own, since Prefect sends until the process ends what flows have logged."""
    return TemporaryServer()


def _require_server(url: str) -> None:
    reason = silence_of(f"{url.rstrip('/')}/health", _ANSWER_TIMEOUT_S)
    if reason is not None:
        raise SourceUnavailable(
            f"Prefect's server at {url} does not answer ({reason}): start it, or unset PREFECT_API_URL to do without."
        )
