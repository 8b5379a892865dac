"""How many threads kernels run on, and how these share the work."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock

import numba

__all__ = ["n_threads", "share", "threads", "wait_passively"]


def wait_passively() -> None:
    """Have numba's threads let go of the cores while they wait, unless the environment says otherwise.

    It counts if it comes before numba's first parallel loop. An epoch is hundreds of short ones, and
    threads that spin between them take the cores from whoever has work, the rest of this process first.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def n_threads() -> int:
    """Threads that kernels run on now."""
    return int(numba.get_num_threads())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Have kernels run on `n` threads, at most as many as the process began with."""
    before = n_threads()
    numba.set_num_threads(n)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def share(n_parts: int, kernel: Callable[..., None], *arguments: object) -> None:
    """Have `kernel(first, last, *arguments)` do all parts of a piece of work, on `n_threads` threads.

    The kernel must let go of Python's lock, and a part's result must not depend on which thread
    does it. A thread that has done its parts takes half of its share of those left, so that one
    that the machine holds up is not waited for long; none spins while it waits. Numba's own parallel
    loops hand out equal shares beforehand, and compile what they hold three times over.
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

    helpers = [_helpers().submit(take) for _ in range(workers - 1)]
    take()
    for helper in helpers:
        if not helper.cancel():
            helper.result()


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "kernel")
