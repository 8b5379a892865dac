"""Heartbeats of a flow within a flow, by which Prefect's server sees that its process lives."""

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.context import FlowRunContext
from prefect.events import emit_event

__all__ = ["heartbeats"]


@contextmanager
def heartbeats(every_s: float | None) -> Iterator[None]:
    """Say of the flow run that the block is in that it lives, at once and every so often; None: never.

    Prefect does the same of each flow, but then keeps the flow waiting for up to a second at its
    end, which adds up in a chain of short ones.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    if run is None or every_s is None:
        yield
        return
    resource = {"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name or ""}
    ended = threading.Event()

    def send() -> None:
        while not ended.is_set():
            emit_event("prefect.flow-run.heartbeat", resource)
            ended.wait(every_s)

    # The server's address and the flow, by which automations tell whose heartbeat it is, are this thread's own.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(send,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
