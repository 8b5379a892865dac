"""What there is of the machine for this process, and how it uses it."""

import atexit
import gc
import os

__all__ = ["collect_seldom", "n_cores"]


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
