"""The ratings of each user and of each item, as the row solvers read them."""

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.models.kernels.layout import Side

__all__ = ["sides"]

_CHUNKS = 64
"""Pieces of equal work a side is cut into; enough for any number of cores met so far."""
_FACTORS_PER_RATING, _RATINGS_PER_ROW = 3, 32
"""What a row costs beyond its ratings, in ratings, each of which takes k²/2 multiply-adds: a Cholesky factor takes
k³/6, and its chain of pivots is waited for whatever k is."""


def sides(ratings: Ratings, values: NDArray[np.float32], n_factors: int) -> tuple[Side, Side]:
    """The users' side and the items' side, 8 bytes per rating each, cut for rows of `n_factors`.

    `values` stand in for the ratings' own, in whatever unit is solved in.
    """
    by_user = _side(ratings.users, ratings.items, values, ratings.n_users, n_factors)
    return by_user, _side(ratings.items, ratings.users, values, ratings.n_items, n_factors)


def _side(
    rows: NDArray[np.int32], columns: NDArray[np.int32], values: NDArray[np.float32], n_rows: int, n_factors: int
) -> Side:
    from mfcore.models.kernels.sparse import compress

    starts, columns, values = compress(rows, columns, values, n_rows)
    work = starts + np.arange(n_rows + 1) * (n_factors / _FACTORS_PER_RATING + _RATINGS_PER_ROW)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], _CHUNKS + 1))
    bounds[0], bounds[-1] = 0, n_rows
    return Side(starts, columns, values, bounds.astype(np.int64))
