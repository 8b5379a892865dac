"""Sums over the parts of a kernel's work, added up in their order.

In a parallel kernel numba turns `np.zeros` and `sum` into parallel loops of their own: each takes
a second to compile, and a sum's order, so its last bits, would depend on the number of threads.
Here they are plain loops.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["add_up", "no_parts"]

Sums = NDArray[np.float64]


@njit(cache=True)
def no_parts(n: int) -> Sums:
    """A sum of zero for each of `n` parts."""
    return np.zeros(n, np.float64)


@njit(cache=True)
def add_up(parts: Sums) -> float:
    """The sum of all parts."""
    return parts.sum()  # type: ignore[no-any-return]
