"""Running a flow in this process, as the command does."""

import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

__all__ = ["run_here"]

P = ParamSpec("P")
R = TypeVar("R")


def run_here(flow: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `flow`, and return what it returns.

    Without a server to look after the run, nobody reads its heartbeats, each of which
    costs a second at the end of a flow: they are left out.
    """
    if os.environ.get("PREFECT_API_URL"):
        return flow(*args, **kwargs)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return flow(*args, **kwargs)
