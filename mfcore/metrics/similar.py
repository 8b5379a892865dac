"""Whether similar items are: what neighbors have in common, how well they are known, and whether they stay."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.metrics.slices import genres
from mfcore.models.factors import Factors
from mfcore.models.lists import Likeness, similar_items

__all__ = ["genre_overlap", "genres_of", "list_overlap", "rare_share", "similar_metrics"]

_WELL_KNOWN = 200
"""Ratings from which people know an item well enough to miss what is like it."""


def genres_of(
    items: pd.DataFrame | None, item_ids: NDArray[np.int64] | NDArray[np.object_]
) -> NDArray[np.bool_] | None:
    """Which genres items have, (n_items, n_genres); None where no genre is known.

    Args:
        items: item_id and genres, separated by "|".
        item_ids: the ids of the codes.
    """
    columns = [genre.items for genre in genres(items, item_ids) if genre.items is not None]
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


def list_overlap(lists: NDArray[np.int32], other: NDArray[np.int32]) -> float:
    """Mean share of a list that is also in the other list of the same row, in any order; NaN for empty lists.

    >>> list_overlap(np.array([[3, 1, 2, 0]]), np.array([[0, 5, 3, 9]]))
    0.5
    """
    common = ((lists[:, :, None] == other[:, None, :]) & (lists >= 0)[:, :, None]).any(axis=2).sum(axis=1)
    longest = np.maximum((lists >= 0).sum(axis=1), (other >= 0).sum(axis=1))
    return float(np.mean(common[longest > 0] / longest[longest > 0])) if longest.any() else float("nan")


def similar_metrics(
    factors: Factors, reseeded: Factors, train: Ratings, genres: NDArray[np.bool_] | None, k: int = 10
) -> dict[str, float]:
    """What the `k` items nearest to well-known ones are like, those with 200 ratings or more.

    Args:
        factors: the model, whose neighbors are those that are shown.
        reseeded: the same recipe, trained on the same ratings with another seed.
        train: what both were trained on.
        genres: (n_items, n_genres); None where none is known.
        k: how many neighbors.

    Returns:
        `similar_genre_overlap`, `similar_rare_share` (of neighbors with fewer than 5 ratings) and
        `similar_stability` (of neighbors that stay with the other seed); without those there is no figure of.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> from mfcore.models import ALS
    >>> ratings = Ratings.from_frame(synthesize(400, 30, 6000).frame, Scale(1, 5, 1))
    >>> factors = ALS(n_factors=2).train(ratings)
    >>> similar_metrics(factors, factors, ratings, None)
    {'similar_rare_share': 0.0, 'similar_stability': 1.0}
    """
    counts = np.bincount(train.items, minlength=train.n_items).astype(np.int64)
    items = np.flatnonzero(counts >= _WELL_KNOWN).astype(np.int32)
    neighbors, others = (similar_items(Likeness.of(head, counts), items, k)[0] for head in (factors, reseeded))
    metrics = {
        "similar_genre_overlap": float("nan") if genres is None else genre_overlap(items, neighbors, genres),
        "similar_rare_share": rare_share(neighbors, train),
        "similar_stability": list_overlap(neighbors, others),
    }
    return {name: value for name, value in metrics.items() if not np.isnan(value)}
