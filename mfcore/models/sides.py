"""The two sides of a factorisation as the row solvers read them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.models.factors import Factors

__all__ = ["Side", "centre", "in_rating_units", "sides", "spread"]

_CHUNKS = 64
"""Pieces of equal work a side is cut into; enough for any number of cores met so far."""


@dataclass(frozen=True, eq=False)
class Side:
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

    @property
    def n_rows(self) -> int:
        """Number of rows, with or without ratings."""
        return len(self.starts) - 1


def sides(ratings: Ratings, n_factors: int) -> tuple[Side, Side]:
    """The users' side and the items' side, 8 bytes a rating each, cut for rows of `n_factors`."""
    by_user = _side(ratings.users, ratings.items, ratings.values, ratings.n_users, n_factors)
    return by_user, _side(ratings.items, ratings.users, ratings.values, ratings.n_items, n_factors)


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
    return float(np.std(ratings.values, dtype=np.float64)) or 1.0 if len(ratings) else 1.0


def in_rating_units(
    ratings: Ratings,
    mean: float,
    unit: float,
    users: tuple[NDArray[np.float32], NDArray[np.float32]],
    items: tuple[NDArray[np.float32], NDArray[np.float32]],
    n_factors: int,
) -> Factors:
    """`Factors` from the biases and (padded) factors of both sides, learned on ratings less `mean` over `unit`."""
    scale, root = np.float32(unit), np.float32(np.sqrt(unit))
    return Factors(
        global_mean=mean,
        user_bias=users[0] * scale,
        item_bias=items[0] * scale,
        user_factors=users[1][:, :n_factors] * root,
        item_factors=items[1][:, :n_factors] * root,
        user_ids=ratings.user_ids,
        item_ids=ratings.item_ids,
        scale=ratings.scale,
    )
