"""`progress_bar`: how far long work is, in a terminal."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["progress_bar"]


class _Bars:
    """The bars on the screen, one below the other: a terminal has place for one display, also of several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display: Progress | None = None
        self._streams: list[tuple[logging.StreamHandler[TextIO], TextIO | None]] = []

    @contextmanager
    def bar(self, title: str) -> Iterator[Callable[[int, int, str], None]]:
        with self._lock:
            display = self._display = self._display or self._opened()
            bar = display.add_task(title, total=None, remark="")
        try:
            yield lambda done, of, remark: display.update(bar, completed=done, total=of, remark=remark)
        finally:
            with self._lock:
                display.remove_task(bar)
                if not display.tasks:
                    self._close(display)

    def _opened(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        parts = "{task.description}", "{task.fields[remark]}"
        columns = TextColumn(parts[0]), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn(parts[1])
        display = Progress(*columns, console=Console(stderr=True), transient=True)
        display.start()
        # Log lines through the display's own stream, which puts them above the bars.
        handlers = [
            handler for handler in logging.getLogger("mfcore").handlers if isinstance(handler, logging.StreamHandler)
        ]
        self._streams = [(handler, handler.setStream(sys.stderr)) for handler in handlers]
        return display

    def _close(self, display: "Progress") -> None:
        display.stop()
        self._display = None
        for handler, stream in self._streams:
            if stream is not None:
                handler.setStream(stream)


_bars = _Bars()


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr while the block runs, if that is a terminal.

    Yields what moves it: `move(done, of, remark)`.
    """
    if not sys.stderr.isatty():
        yield lambda done, of, remark: None
        return
    with _bars.bar(title) as move:
        yield move
