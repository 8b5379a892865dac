"""A person's Ctrl-C, taken for a wish."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["first_interrupt"]


@contextmanager
def first_interrupt(notice: str) -> Iterator[Callable[[], bool]]:
    """Take the first Ctrl-C in the block for a wish, and show the `notice`; a second one interrupts as ever.

    Yields what tells whether there was one.
    """
    wished = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals are for the main thread alone
        yield wished.is_set
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def take(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        wished.set()
        os.write(2, f"\n{notice}\n".encode())  # a stream may be in the middle of a write

    signal.signal(signal.SIGINT, take)
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGINT, before)
