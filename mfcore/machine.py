"""What there is of the machine for this process, and how it uses it."""

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["collect_seldom", "n_cores", "n_threads", "one_blas_thread"]


def collect_seldom() -> None:
    """Have Python look for cycles of unused objects a thirtieth as often as it does by itself; for whole programs.

    Prefect, MLflow and Great Expectations bring half a million objects that stay. With the thresholds of
    Python 3.11 a fifth of the time that their imports take goes into looking through these again and again,
    and at the end of the process a second or more into looking once more what of them is unused.
    """
    gc.set_threshold(20_000, 10, 10)
    atexit.register(gc.freeze)


def n_cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_threads() -> int:
    """Threads that this process's computations may take: one per core, fewer where NUMBA_NUM_THREADS says so."""
    return min(n_cores(), int(os.environ.get("NUMBA_NUM_THREADS") or n_cores()))


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have NumPy and SciPy multiply matrices on one thread while the block runs, in any number of blocks at once.

    Another number of threads may give other bits, and on small matrices threads wait for each other most of the time.
    """
    limit = _limit()
    limit.enter()
    try:
        yield
    finally:
        limit.leave()


class _Limit:
    """One limit for all blocks: one that began within another's would take that one's for what was before."""

    def __init__(self) -> None:
        # Either brings a BLAS of its own, and only those that are there are found.
        import numpy
        import scipy.linalg

        assert numpy and scipy.linalg
        self._libraries = ThreadpoolController()  # made once: looking for them takes longer than many a product
        self._lock, self._n_inside = Lock(), 0
        self._held: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._held = self._libraries.limit(limits=1, user_api="blas")
            self._n_inside += 1

    def leave(self) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._held.restore_original_limits()


@cache
def _limit() -> _Limit:
    return _Limit()
