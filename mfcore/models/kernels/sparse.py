"""Ratings sorted by row, so that each row's entries lie together."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["compress"]


@njit(cache=True)
def compress(
    rows: NDArray[np.int32], columns: NDArray[np.int32], values: NDArray[np.float32], n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Counting sort by row, stable: starts of rows (n_rows + 1,), columns (n,), values (n,)."""
    starts = np.zeros(n_rows + 1, np.int64)
    for row in rows:
        starts[row + 1] += 1
    for row in range(n_rows):
        starts[row + 1] += starts[row]
    free = starts[:-1].copy()
    sorted_columns = np.empty(len(rows), np.int32)
    sorted_values = np.empty(len(rows), np.float32)
    for n in range(len(rows)):
        place = free[rows[n]]
        free[rows[n]] += 1
        sorted_columns[place] = columns[n]
        sorted_values[place] = values[n]
    return starts, sorted_columns, sorted_values
