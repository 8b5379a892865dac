"""The two sides of a factorisation as the row solvers read them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings

__all__ = ["Block", "Side", "centre", "sides", "spread"]

_CHUNKS = 64
"""Pieces of equal work a side is cut into; enough for any number of cores met so far."""


class Side(NamedTuple):
    """One side's ratings, row by row.

    Attributes:
        starts: int64, (n_rows + 1,); row r has the entries from starts[r] to starts[r + 1].
        columns: int32, (n,); code on the other side.
        values: float32, (n,).
        bounds: int64; rows that start a chunk of about equal work.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    bounds: NDArray[np.int64]


class Block(NamedTuple):
    """One side's parameters.

    Attributes:
        factors: float32, (n_rows, size); rows are padded with zeros to a multiple of the register length.
        bias: float32, (n_rows,).
        variance: float32, (n_rows, size), where variances of the factors are kept; else (0, size).
    """

    factors: NDArray[np.float32]
    bias: NDArray[np.float32]
    variance: NDArray[np.float32]

    @classmethod
    def zeros(cls, n_rows: int, size: int, with_variance: bool = False) -> "Block":
        """All parameters zero."""
        variance = np.zeros((n_rows if with_variance else 0, size), np.float32)
        return cls(np.zeros((n_rows, size), np.float32), np.zeros(n_rows, np.float32), variance)


def sides(ratings: Ratings, values: NDArray[np.float32], n_factors: int) -> tuple[Side, Side]:
    """The users' side and the items' side, 8 bytes a rating each, cut for rows of `n_factors`.

    `values` stand in for the ratings' own, in whatever unit is solved in.
    """
    by_user = _side(ratings.users, ratings.items, values, ratings.n_users, n_factors)
    return by_user, _side(ratings.items, ratings.users, values, ratings.n_items, n_factors)


def _side(
    rows: NDArray[np.int32], columns: NDArray[np.int32], values: NDArray[np.float32], n_rows: int, n_factors: int
) -> Side:
    from mfcore.models.kernels.sparse import compress

    starts, columns, values = compress(rows, columns, values, n_rows)
    work = starts + np.arange(n_rows + 1) * (n_factors / 3 + 32)
    bounds = np.searchsorted(work, np.linspace(0, work[-1], _CHUNKS + 1))
    bounds[0], bounds[-1] = 0, n_rows
    return Side(starts, columns, values, bounds.astype(np.int64))


def centre(ratings: Ratings) -> float:
    """The mean rating; the middle of the scale where there are none."""
    if len(ratings) == 0:
        return ratings.scale.minimum + ratings.scale.width / 2
    return float(np.mean(ratings.values, dtype=np.float64))


def spread(ratings: Ratings) -> float:
    """The standard deviation of the ratings; 1 where they don't differ."""
    return (float(np.std(ratings.values, dtype=np.float64)) if len(ratings) else 0.0) or 1.0
