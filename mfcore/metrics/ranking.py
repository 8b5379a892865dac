"""How good the lists are that a model would show: NDCG and recall at k."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings, Scale
from mfcore.models.factors import Factors
from mfcore.models.lists import top_items
from mfcore.models.seen import Seen

__all__ = ["RankMetrics", "rank_metrics", "relevant_threshold"]


@dataclass(frozen=True, eq=False)
class RankMetrics:
    """Ranking metrics under every mean: one figure for each user with a relevant test item.

    Attributes:
        users: int32, (n,); codes.
        ndcg_at_k: float64, (n,); from 0 to 1.
        recall_at_k: float64, (n,); from 0 to 1.
    """

    users: NDArray[np.int32]
    ndcg_at_k: NDArray[np.float64]
    recall_at_k: NDArray[np.float64]

    @property
    def ndcg(self) -> float:
        """Mean NDCG@k over users; NaN when no user has a relevant item."""
        return float(self.ndcg_at_k.mean()) if len(self.users) else math.nan

    @property
    def recall(self) -> float:
        """Mean recall@k over users; NaN when no user has a relevant item."""
        return float(self.recall_at_k.mean()) if len(self.users) else math.nan


def relevant_threshold(scale: Scale) -> float:
    """The rating from which an item counts as liked: the upper 40 % of the scale, on its grid.

    >>> relevant_threshold(Scale(1, 5, 1)), relevant_threshold(Scale(0.5, 5, 0.5)), relevant_threshold(Scale(-10, 10))
    (4, 3.5, 2.0)
    """
    threshold = scale.minimum + 0.6 * scale.width
    if scale.step is None:
        return threshold
    steps = math.ceil((threshold - scale.minimum) / scale.step - 1e-9)
    return scale.minimum + steps * scale.step


def rank_metrics(
    factors: Factors, seen: Ratings, test: Ratings, k: int = 10, relevant_from: float | None = None
) -> RankMetrics:
    r"""Rank all items a user has not rated in `seen`, and look for those the user liked in `test`.

    With binary relevance, L the user's relevant test items and i_1 … i_k the list,

        DCG@k = Σ_j [i_j ∈ L] / log2(j + 1),   NDCG@k = DCG@k / (DCG@k of the best list)
        recall@k = |L ∩ {i_1 … i_k}| / |L|

    over users with at least one relevant item. Every item is a candidate, rated in `test` or not.
    Items in `seen` stay out of the list even where `test` repeats them.

    Source: Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20(4), 2002.

    Args:
        factors: the model, over the same codes as the ratings.
        seen: what the model was trained on.
        test: what it is measured on.
        k: length of the list.
        relevant_from: ratings from here on are relevant; None: `relevant_threshold`.
    """
    threshold = relevant_threshold(test.scale) if relevant_from is None else relevant_from
    liked = test.values >= threshold
    pairs = np.unique(test.users[liked].astype(np.int64) * test.n_items + test.items[liked])
    owners = pairs // max(1, test.n_items)
    users, n_relevant = np.unique(owners, return_counts=True)
    users = users.astype(np.int32)
    items, _ = top_items(factors, users, k, Seen.of(seen))

    listed = users.astype(np.int64)[:, None] * test.n_items + items
    hits = np.isin(listed, pairs) & (items >= 0)
    gains = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(n_relevant, k) - 1]
    return RankMetrics(users=users, ndcg_at_k=hits @ gains / best, recall_at_k=hits.sum(axis=1) / n_relevant)
