"""How many threads kernels run on."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba

__all__ = ["n_threads", "threads"]


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
