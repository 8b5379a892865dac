"""How well lists find what users liked: NDCG, precision, recall, MAP, MRR and hit rate at k."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings, Scale
from mfcore.metrics.intervals import Statistic, mean

__all__ = ["RelevantItems", "rank_metrics", "rank_statistics", "relevant_threshold"]


def relevant_threshold(scale: Scale, relevant_from: float | None = None) -> float:
    """The rating from which an item counts as liked: as asked, or else the upper 40 % of the scale, on its grid.

    >>> relevant_threshold(Scale(1, 5, 1)), relevant_threshold(Scale(0.5, 5, 0.5)), relevant_threshold(Scale(-10, 10))
    (4, 3.5, 2.0)
    """
    if relevant_from is not None:
        return relevant_from
    threshold = scale.minimum + 0.6 * scale.width
    if scale.step is None:
        return threshold
    steps = math.ceil((threshold - scale.minimum) / scale.step - 1e-9)
    return scale.minimum + steps * scale.step


@dataclass(frozen=True, eq=False)
class RelevantItems:
    """The items that users liked in test ratings.

    Attributes:
        keys: int64, ascending, distinct; user · n_items + item.
        n_items: of the catalog.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 8], "rating": [5.0, 3.0, 4.0]})
    >>> relevant, users = RelevantItems.of(Ratings.from_frame(frame, Scale(1, 5, 1))), np.array([0, 1], np.int32)
    >>> relevant.counts(users), relevant.hits(users, np.array([[1, 0], [1, -1]], np.int32)).tolist()
    (array([1, 1]), [[False, True], [True, False]])
    """

    keys: NDArray[np.int64]
    n_items: int

    @classmethod
    def of(cls, test: Ratings, relevant_from: float | None = None) -> "RelevantItems":
        """The pairs rated `relevant_from` or more; None: `relevant_threshold`."""
        liked = test.values >= relevant_threshold(test.scale, relevant_from)
        return cls(np.unique(test.users[liked].astype(np.int64) * test.n_items + test.items[liked]), test.n_items)

    def among(self, items: NDArray[np.bool_]) -> "RelevantItems":
        """Those of the items that are True in `items`, (n_items,)."""
        return RelevantItems(self.keys[items[self.keys % self.n_items]], self.n_items)

    def counts(self, users: NDArray[np.int32]) -> NDArray[np.int64]:
        """How many items each of `users` liked."""
        first = users.astype(np.int64) * self.n_items
        return np.searchsorted(self.keys, first + self.n_items) - np.searchsorted(self.keys, first)

    def hits(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each user liked each item of their list; `items` is (len(users), k), −1 an empty place."""
        if not len(self.keys):
            return np.zeros(items.shape, np.bool_)
        listed = users.astype(np.int64)[:, None] * self.n_items + items
        places = np.minimum(np.searchsorted(self.keys, listed), len(self.keys) - 1)
        hits: NDArray[np.bool_] = (self.keys[places] == listed) & (items >= 0)
        return hits


def rank_metrics(hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int) -> dict[str, NDArray[np.float64]]:
    r"""Ranking metrics of each user, (n,), under every mean.

    With binary relevance, L the user's liked test items, i_1 … i_k the list and
    h_j = [i_j ∈ L], P@j = (h_1 + … + h_j) / j,

    - `ndcg` Σ_j h_j / log2(j + 1), divided by what the best list would give;
    - `precision` P@k, of k also where fewer items are left to list;
    - `recall` Σ_j h_j / |L|;
    - `map` Σ_j h_j P@j / |L|, as trec_eval has it (not divided by min(k, |L|));
    - `mrr` 1 / j of the first hit, 0 without one;
    - `hit_rate` 1 with a hit, else 0.

    All are from 0 to 1, and 0 for users with no liked item, who are left out of means.

    Sources: Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20(4), 2002;
    Manning, Raghavan, Schütze, "Introduction to Information Retrieval", 2008, chapter 8.

    Args:
        hits: h, (n, K), K ≥ k; from lists over the whole catalog without what users had rated before.
        n_relevant: |L|, (n,); test items liked, in the list or not.
        k: length of the list.

    >>> found = rank_metrics(np.array([[False, True, False, True]]), np.array([2]), 4)
    >>> {name: round(values.item(), 3) for name, values in found.items()}
    {'ndcg': 0.651, 'precision': 0.5, 'recall': 1.0, 'map': 0.5, 'mrr': 0.5, 'hit_rate': 1.0}
    """
    hits = hits[:, :k]
    places = np.arange(1, k + 1)
    gains = 1 / np.log2(places + 1)
    best = np.concatenate(([1.0], np.cumsum(gains)))[np.minimum(n_relevant, k)]
    liked = np.maximum(n_relevant, 1)
    n_hits = hits.sum(axis=1)
    precisions = np.cumsum(hits, axis=1) / places
    return {
        "ndcg": hits @ gains / best,
        "precision": n_hits / k,
        "recall": n_hits / liked,
        "map": np.einsum("nk,nk->n", hits, precisions) / liked,
        "mrr": np.where(n_hits > 0, 1 / (np.argmax(hits, axis=1) + 1), 0.0),
        "hit_rate": (n_hits > 0).astype(np.float64),
    }


def rank_statistics(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.int64], k: int, unknown: str
) -> dict[str, Statistic]:
    """The means of `rank_metrics` over users with a liked item, as `ndcg_at_10` and the like."""
    return {
        f"{name}_at_{k}": mean(values, n_relevant > 0, unknown=unknown)
        for name, values in rank_metrics(hits, n_relevant, k).items()
    }
