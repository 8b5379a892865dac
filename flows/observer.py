"""What the stages do, shown in Prefect: steps as tasks, tables and texts as artifacts, progress as both show it."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows.cluster import parts_on
from flows.temporary_server import is_lasting
from mfcore.progress import progress_bar
from mfcore.stages.observer import Event, Move, Observer

__all__ = ["PrefectObserver"]

T = TypeVar("T")

_EVERY_S = 2.0
"""Seconds between updates of a progress artifact; each is a request."""


class PrefectObserver(Observer):
    """Shows steps, tables, texts and progress in the flow run that it is called in."""

    def __init__(self) -> None:
        """Begin in a flow; what a cluster does is a flow within that one."""
        # Not within the task of a step: what tasks run in is sent to the cluster, and a step holds what can't be.
        self._flow = copy_context()

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Do the work as a task."""
        return task(name=name, task_run_name=name, cache_policy=NO_CACHE)(work)()

    @contextmanager
    def progress(self, key: str, title: str, unit: str) -> Iterator[Move]:
        """Show a bar in a terminal, and a progress artifact where a server shows it."""
        artifact: UUID | None = None
        updated = -math.inf

        def publish(done: int, of: int, remark: str) -> None:
            nonlocal artifact, updated
            if time.monotonic() - updated < _EVERY_S and done < of:
                return
            updated = time.monotonic()
            share, description = 100.0 * done / of, f"{done} of {of} {unit} of {title} {remark}"
            if artifact is None:
                # Typed for asynchronous callers as well.
                artifact = cast(
                    UUID, create_progress_artifact(progress=share, key=_accepted(key), description=description)
                )
            else:
                update_progress_artifact(artifact, progress=share, description=description)

        with progress_bar(title) as move_bar:

            def move(done: int, of: int, remark: str) -> None:
                move_bar(done, of, remark)
                if is_lasting():
                    publish(done, of, remark)

            yield move

    @contextmanager
    def on_cluster(
        self, address: str, work: str, parts: Sequence[dict[str, Any]], wait_s: float | None
    ) -> Iterator[Callable[[], None]]:
        """Have a cluster do the parts, each a task of a flow within the one that is under way."""
        with parts_on(self._flow.copy(), address, work, parts, wait_s) as wait:
            yield wait

    def show_table(self, key: str, rows: list[dict[str, Any]], description: str) -> None:
        """Show rows as a table artifact."""
        create_table_artifact(key=_accepted(key), table=rows, description=description)

    def show_text(self, key: str, text: str) -> None:
        """Show a text as a Markdown artifact."""
        create_markdown_artifact(key=_accepted(key), markdown=text)

    def announce(self, event: Event, dataset: str, **facts: Any) -> None:
        """Emit an event of the data set, `mfcore.<event>`, where there is a server for automations to wait on."""
        if is_lasting():
            resource = {"prefect.resource.id": f"mfcore.dataset.{dataset}", "prefect.resource.name": dataset}
            emit_event(f"mfcore.{event}", resource, payload=facts)


def _accepted(key: str) -> str:
    """A key as Prefect accepts it: lower-case letters, digits and dashes."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in key.lower())
