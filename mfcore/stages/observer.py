"""Who watches the stages: an orchestrator that shows what they do, or nobody."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

__all__ = ["Event", "Move", "Observer"]

logger = logging.getLogger("mfcore.stages")

T = TypeVar("T")
Event = Literal["champion.promoted", "data.refused", "data.drifted", "export.published"]
"""What others may wait for: to export, to look at the data, to load what is new."""
Move = Callable[[int, int, str], None]
"""Tells how far something is: `move(done, of, remark)`."""


class Observer:
    """Looks away. An orchestrator's observer overrides what it has a place for.

    Keys tell what is shown apart from all else that is; dashes join their parts.

    >>> Observer().step("add", lambda: 1 + 1)
    2
    """

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Do the work of one step of a stage, and return what it returns."""
        return work()

    @contextmanager
    def progress(self, key: str, title: str, unit: str) -> Iterator[Move]:
        """Show how far something is while the block runs; yields what moves it. `unit` is what is counted."""
        yield lambda done, of, remark: None

    @contextmanager
    def on_cluster(
        self, address: str, work: str, parts: Sequence[dict[str, Any]], wait_s: float | None
    ) -> Iterator[Callable[[], None]]:
        """Have a cluster do parts of some work while the block runs; yields what waits until they are done.

        A cluster helps, and that is all: parts that fail, or are not begun, are left to whoever started them.

        Args:
            address: of the cluster, dask:// or ray://.
            work: the function that does a part, as "package.module:name".
            parts: its argument for each part, of what JSON can hold.
            wait_s: seconds in which no part comes to its end, after which the cluster is taken for dead; None: never.

        Raises:
            SourceUnavailable: the cluster can't be reached.
            UsageError: what speaks with it is not installed.
        """
        logger.warning("%s takes no part: clusters are reached by a flow alone", address)
        yield lambda: None

    def show_table(self, key: str, rows: list[dict[str, Any]], description: str) -> None:
        """Show rows of the same columns."""

    def show_text(self, key: str, text: str) -> None:
        """Show a text in Markdown."""

    def announce(self, event: Event, dataset: str, **facts: Any) -> None:
        """Say that something has happened to a data set that others may wait for; `facts` are what JSON can hold."""
