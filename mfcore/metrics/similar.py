"""Whether similar items are: what neighbors have in common, how well they are known, and whether they stay."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.metrics.slices import genres

__all__ = ["genre_overlap", "genres_of", "list_overlap", "nearest", "rare_share", "stability"]

_CHUNK = 1024
"""Items whose neighbors are looked for at a time."""


def genres_of(
    items: pd.DataFrame | None, item_ids: NDArray[np.int64] | NDArray[np.object_]
) -> NDArray[np.bool_] | None:
    """Which genres items have, (n_items, n_genres); None where no genre is known.

    Args:
        items: item_id and genres, separated by "|".
        item_ids: the ids of the codes.
    """
    columns = [one.items for one in genres(items, item_ids) if one.items is not None]
    return np.column_stack(columns) if columns else None


def genre_overlap(items: NDArray[np.int32], neighbors: NDArray[np.int32], genres: NDArray[np.bool_]) -> float:
    r"""Mean Jaccard index of the genres of items and their neighbors, |A ∩ B| / |A ∪ B|.

    Over pairs of which both have a genre; NaN where there are none.

    Args:
        items: codes, (n,).
        neighbors: of each of them, (n, k); −1 is an empty place.
        genres: (n_items, n_genres).

    >>> genres = np.array([[1, 1], [1, 0], [0, 0]], bool)
    >>> genre_overlap(np.array([0], np.int32), np.array([[1, 2, -1]], np.int32), genres)
    0.5
    """
    ones, others = np.repeat(items, neighbors.shape[1]), neighbors.ravel()
    known = others >= 0
    a, b = genres[ones[known]], genres[others[known]]
    both = a.any(axis=1) & b.any(axis=1)
    if not both.any():
        return float("nan")
    a, b = a[both], b[both]
    return float(np.mean((a & b).sum(axis=1) / (a | b).sum(axis=1)))


def rare_share(neighbors: NDArray[np.int32], train: Ratings, fewer_than: int = 5) -> float:
    """Share of neighbors that have fewer than so many ratings in `train`; NaN where there are no neighbors.

    >>> from mfcore.data.ratings import Scale
    >>> frame = pd.DataFrame({"user_id": range(6), "item_id": [1, 1, 1, 1, 1, 2], "rating": 3.0})
    >>> rare_share(np.array([[0, 1], [1, -1]], np.int32), Ratings.from_frame(frame, Scale(1, 5)))
    0.6666666666666666
    """
    counts = np.bincount(train.items, minlength=train.n_items)
    shown = neighbors[neighbors >= 0]
    return float(np.mean(counts[shown] < fewer_than)) if len(shown) else float("nan")


def list_overlap(one: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """Mean share of a list that is also in the other list of the same row, in any order; NaN for empty lists.

    >>> list_overlap(np.array([[3, 1, 2, 0]]), np.array([[0, 5, 3, 9]]))
    0.5
    """
    common = ((one[:, :, None] == other[:, None, :]) & (one >= 0)[:, :, None]).any(axis=2).sum(axis=1)
    longest = np.maximum((one >= 0).sum(axis=1), (other >= 0).sum(axis=1))
    return float(np.mean(common[longest > 0] / longest[longest > 0])) if longest.any() else float("nan")


def nearest(item_factors: NDArray[np.float32], items: NDArray[np.int32], k: int) -> NDArray[np.int32]:
    """The `k` items with the largest cosines to each of `items`, best first, (n, k); −1 where there are no more.

    An item whose factors are zero is nobody's neighbor, and has none. Of equal cosines the lower code comes first.
    """
    lengths = np.linalg.norm(item_factors.astype(np.float64), axis=1)
    known = lengths > 0
    unit = item_factors / np.where(known, lengths, 1)[:, None]
    found = np.full((len(items), k), -1, np.int32)
    for first in range(0, len(items), _CHUNK):
        own = items[first : first + _CHUNK]
        cosines = np.where(known[own][:, None] & known, unit[own] @ unit.T, -np.inf)
        cosines[np.arange(len(own)), own] = -np.inf
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        there = np.isfinite(np.take_along_axis(cosines, best, axis=1))
        found[first : first + _CHUNK, : best.shape[1]] = np.where(there, best, -1)
    return found


def stability(one: NDArray[np.float32], other: NDArray[np.float32], items: NDArray[np.int32], k: int = 10) -> float:
    """Share of the `k` nearest items that stay when a model is trained anew with another seed.

    Args:
        one: item factors, (n_items, …).
        other: those of the same recipe with another seed, over the same items.
        items: whose neighbors are looked at.
        k: how many.

    >>> factors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    >>> turned = factors @ np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]], np.float32)
    >>> stability(factors, turned, np.arange(30, dtype=np.int32))
    1.0
    """
    return list_overlap(nearest(one, items, k), nearest(other, items, k))
