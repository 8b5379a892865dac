"""How many threads kernels run on, and how these share the work."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import Lock

from mfcore.machine import n_threads as n_threads_at_most
from mfcore.models.kernels.primitives import ARE_SHARED
from mfcore.models.kernels.turns import Turns

__all__ = ["in_turns", "n_threads", "share", "threads"]

_LIMIT: ContextVar[int | None] = ContextVar("_LIMIT", default=None)
_PAUSE = 2e-5
"""Seconds that a thread sleeps when the one it waits for is held up."""


def n_threads() -> int:
    """Threads that kernels run on now."""
    return _LIMIT.get() or n_threads_at_most()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Have kernels that this thread calls run on `n` threads while the block runs."""
    before = _LIMIT.set(n)
    try:
        yield
    finally:
        _LIMIT.reset(before)


def share(n_parts: int, kernel: Callable[..., None], *arguments: object) -> None:
    """Have `kernel(first, last, *arguments)` do all parts of a piece of work, on `n_threads` threads.

    The kernel must let go of Python's lock, and a part's result must not depend on which thread
    does it. A thread that has done its parts takes half of its share of those left, so that one
    that the machine holds up is not waited for long; none spins while it waits. (Numba's own parallel
    loops hand out equal shares beforehand, and compile what they hold three times over.)
    """
    workers = n_threads()
    if workers == 1:
        kernel(0, n_parts, *arguments)
        return
    lock, begun = Lock(), 0

    def take() -> None:
        nonlocal begun
        while True:
            with lock:
                first = begun
                begun += -(-(n_parts - first) // (2 * workers))
                last = begun
            if first == last:
                return
            kernel(first, last, *arguments)

    _on(workers, take)


def in_turns(turns: Turns, kernel: Callable[..., int], *arguments: object) -> None:
    """Have `kernel(held, turns, *arguments)` take all turns, on `n_threads` threads.

    The kernel lets go of Python's lock, and takes turns by `turns.begin` and `turns.go_on`. It returns the one
    that it can't do yet, which is then `held`, or their number when none is left. An error, or Ctrl-C, in one
    thread ends all.
    """

    def take() -> None:
        held = -1
        try:
            while (held := kernel(held, turns, *arguments)) < turns.blocks.size:
                time.sleep(_PAUSE)
        except BaseException:
            turns.give_up()
            raise

    _on(n_threads() if ARE_SHARED else 1, take)


def _on(n: int, work: Callable[[], None]) -> None:
    """Do `work` on this thread and n − 1 others, as far as these come to it before this one is done."""
    helpers = [_helpers().submit(work) for _ in range(n - 1)]
    work()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "kernel")
