"""How many trainings go side by side."""

from mfcore.machine import n_threads

__all__ = ["n_together"]

_LITTLE_WORK = 3_000_000
"""Ratings that fits pass over in all, about ten seconds on one core: what takes less is not worth starting workers."""
_MANY_RATINGS = 2_000_000
"""Ratings above which one training keeps all cores busy, and memory is what is short."""


def n_together(n_tasks: int, n_fits: int, n_ratings: int) -> int:
    """Of how many tasks the trainings go side by side, each on its share of the cores; 1: one by one, on all.

    Results are the same either way.

    Args:
        n_tasks: that don't wait for each other.
        n_fits: of all tasks together.
        n_ratings: that a fit is on.

    >>> n_together(7, 140, 1000), n_together(7, 140, 10_000_000)
    (1, 1)
    """
    if n_fits * n_ratings < _LITTLE_WORK or n_ratings > _MANY_RATINGS:
        return 1
    return min(n_threads(), n_tasks)
