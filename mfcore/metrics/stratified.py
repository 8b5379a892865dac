"""How well lists find what people liked and would not have met anyway: metrics that popular items count less in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.metrics.intervals import Floats, Statistic, mean
from mfcore.metrics.ranking import RelevantItems

__all__ = ["Stratified"]


@dataclass(frozen=True, eq=False)
class Stratified:
    r"""NDCG and recall in which a liked item counts s_i = 1 / n_i^β, n_i being its training ratings.

    With β = 0 they are the plain ones; with β = 1 the likes of all items, however often rated, weigh
    as much together. A model that does well in the plain metrics and poorly in these finds what
    people meet anyway. With L the user's liked test items, i_1 … i_k the list and h_j = [i_j ∈ L],

    - `stratified_recall` Σ_j h_j s_{i_j} / Σ_{i ∈ L} s_i;
    - `stratified_ndcg` Σ_j h_j s_{i_j} / log2(j + 1), divided by what the best list would give:
      L in the order of falling s_i.

    Both are from 0 to 1. They are means over users with a liked item, who count alike, as in the
    plain metrics; Steck weights users by Σ_{i ∈ L} s_i.

    Source: Steck, "Item popularity and recommendation accuracy", RecSys 2011.

    Attributes:
        weights: s, float64, (n_items,); an item that nobody rated counts as if one had.

    >>> relevant, users = RelevantItems(np.array([0, 2]), 3), np.array([0], np.int32)
    >>> stratified = Stratified(np.array([0.1, 0.5, 0.3]))
    >>> found = stratified.metrics(relevant, users, np.array([[1, 2]], np.int32), 2)
    >>> found["stratified_recall"].round(2), found["stratified_ndcg"].round(2)
    (array([0.75]), array([0.52]))
    """

    weights: Floats

    @classmethod
    def of(cls, train: Ratings, beta: float) -> "Stratified":
        """Weights by the number of ratings in `train`."""
        counts = np.bincount(train.items, minlength=train.n_items)
        return cls(np.maximum(counts, 1).astype(np.float64) ** -beta)

    def metrics(
        self, relevant: RelevantItems, users: NDArray[np.int32], items: NDArray[np.int32], k: int
    ) -> dict[str, Floats]:
        """Both metrics of each user, (n,); 0 for users with no liked item, who are left out of means.

        Args:
            relevant: what was liked.
            users: codes, ascending, (n,).
            items: their lists, (n, K), K ≥ k; −1 is an empty place.
            k: length of the list.
        """
        items = items[:, :k]
        gains = np.where(relevant.hits(users, items), self.weights[items], 0.0)
        discounts = 1 / np.log2(np.arange(2, items.shape[1] + 2))
        total, best = self._greatest(relevant, users, k)
        none = np.where(total > 0, total, 1)
        return {
            "stratified_ndcg": gains @ discounts / np.where(best > 0, best, 1),
            "stratified_recall": gains.sum(axis=1) / none,
        }

    def statistics(
        self, relevant: RelevantItems, users: NDArray[np.int32], items: NDArray[np.int32], k: int, unknown: str
    ) -> dict[str, Statistic]:
        """Their means, as `stratified_ndcg_at_10` and the like."""
        counted = relevant.counts(users) > 0
        metrics = self.metrics(relevant, users, items, k)
        return {f"{name}_at_{k}": mean(values, counted, unknown=unknown) for name, values in metrics.items()}

    def _greatest(self, relevant: RelevantItems, users: NDArray[np.int32], k: int) -> tuple[Floats, Floats]:
        """Of each user: the weights of all that they liked, and the gain of the best list."""
        owners, liked = np.divmod(relevant.keys, max(1, relevant.n_items))
        weights = self.weights[liked]
        order = np.lexsort((-weights, owners))
        owners, weights = owners[order], weights[order]
        place = np.arange(len(owners)) - np.searchsorted(owners, owners)
        within = np.where(place < k, weights / np.log2(place + 2), 0.0)
        size = int(max(users.max(initial=0), owners.max(initial=0))) + 1
        total = np.bincount(owners, weights, size).astype(np.float64)
        return total[users], np.bincount(owners, within, size).astype(np.float64)[users]
