"""What there is of the machine for this process, and how it uses it."""

import gc
import os

__all__ = ["collect_seldom", "n_cores"]


def collect_seldom() -> None:
    """Have Python look for cycles of unused objects a thirtieth as often as it does by itself; for whole programs.

    Prefect, MLflow and Great Expectations bring half a million objects that stay. With the thresholds of
    Python 3.11 a fifth of the time that their imports take goes into looking through these again and again.
    """
    gc.set_threshold(20_000, 10, 10)


def n_cores() -> int:
    """Cores that this process may run on, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
