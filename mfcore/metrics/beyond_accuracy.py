"""What lists are like beyond their accuracy: coverage, concentration, novelty, diversity, popularity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.metrics.intervals import Floats, Statistic, mean

__all__ = ["Profiles", "coverage", "gini"]

_RATERS = 1 << 14
"""Users whose ratings tell how alike two items are: enough for any mean, and memory stays bounded."""


def coverage(items: NDArray[np.int32], n_items: int) -> float:
    """Share of the catalog that is in at least one list.

    Source: Ge, Delgado-Battenfeld, Jannach, "Beyond accuracy: evaluating recommender systems by
    coverage and serendipity", RecSys 2010 (catalog coverage).

    Args:
        items: lists, (n, k); −1 is an empty place.
        n_items: of the catalog.

    >>> coverage(np.array([[0, 1], [1, -1]], np.int32), 4)
    0.5
    """
    return float(np.count_nonzero(_exposure(items, n_items)) / n_items) if n_items else np.nan


def gini(items: NDArray[np.int32], n_items: int) -> float:
    r"""How unequally items are shown: 0 when all are equally often in lists, 1 when one alone is.

    With the items' numbers of appearances in rising order, x_1 ≤ … ≤ x_m,
    G = Σ_j (2j − m − 1) x_j / ((m − 1) Σ_j x_j). NaN for no lists, or fewer than two items.

    Source: Shani, Gunawardana, "Evaluating recommendation systems", in Recommender Systems
    Handbook, 2011, section 3.3.

    >>> gini(np.array([[0, 1], [2, 3]], np.int32), 4), gini(np.array([[1], [1]], np.int32), 4)
    (0.0, 1.0)
    """
    shown = np.sort(_exposure(items, n_items)).astype(np.float64)
    if n_items < 2 or not shown.any():
        return np.nan
    weights = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(weights @ shown / ((n_items - 1) * shown.sum()))


def _exposure(items: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    return np.bincount(items[items >= 0], minlength=n_items)


@dataclass(frozen=True, eq=False)
class Profiles:
    """What training ratings say of items and of users' habits, the same for every model.

    Attributes:
        self_information: float64, (n_items,); −log2 of the share of users who rated the item.
        popularity: float64, (n_items,); that share.
        own_popularity: float64, (n_users,); mean popularity of what each user rated; 0 for none.
        raters: uint64, (n_items, words); a bit for each user who rated the item, of 16,384 users
            drawn at random where there are more.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Scale
    >>> frame = pd.DataFrame({"user_id": [1, 2, 3, 4, 1, 2], "item_id": [7, 7, 7, 7, 8, 8], "rating": 3.0})
    >>> profiles, items = Profiles.of(Ratings.from_frame(frame, Scale(1, 5))), np.array([[0, 1]], np.int32)
    >>> profiles.novelty(items), profiles.diversity(items).round(2)
    (array([0.5]), array([0.29]))
    """

    self_information: Floats
    popularity: Floats
    own_popularity: Floats
    raters: NDArray[np.uint64]

    @classmethod
    def of(cls, train: Ratings, seed: int = 0) -> "Profiles":
        """Count who rated what in `train`."""
        from mfcore.models.kernels.overlap import mark

        counts = np.bincount(train.items, minlength=train.n_items)
        popularity = counts / max(1, train.n_users)
        sums = np.bincount(train.users, popularity[train.items], train.n_users)
        n_rated = np.bincount(train.users, minlength=train.n_users)
        n_raters = min(train.n_users, _RATERS)
        chosen = np.full(train.n_users, -1, np.int32)
        chosen[np.random.default_rng(seed).permutation(train.n_users)[:n_raters]] = np.arange(n_raters)
        return cls(
            self_information=-np.log2(np.maximum(counts, 1) / max(1, train.n_users)),
            popularity=popularity,
            own_popularity=sums / np.maximum(n_rated, 1),
            raters=mark(chosen[train.users], train.items, train.n_items, n_raters),
        )

    def novelty(self, items: NDArray[np.int32]) -> Floats:
        r"""Mean self-information of each list, in bits, (n,); NaN for an empty list.

        −log2(share of users who rated the item in training), an item that nobody rated counting
        as if one had.

        Sources: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender
        systems", PNAS 107(10), 2010; Vargas, Castells, "Rank and relevance in novelty and
        diversity metrics for recommender systems", RecSys 2011.
        """
        return _mean_of_list(self.self_information, items)

    def diversity(self, items: NDArray[np.int32]) -> Floats:
        r"""Mean distance of the pairs of each list, 1 − |A ∩ B| / √(|A| |B|), (n,); NaN without a pair.

        A and B are who rated the two items in training: the cosine of the rating matrix's columns
        with a 1 for each rating. So the distances are the same for every model, which those of
        models' own factors would not be, and known for every data set, which genres are not.

        Source: Ziegler et al., "Improving recommendation lists through topic diversification", WWW 2005.
        """
        from mfcore.models.kernels.overlap import mean_cosines

        diversity: Floats = 1 - mean_cosines(self.raters, items)
        return diversity

    def list_popularity(self, items: NDArray[np.int32]) -> Floats:
        """Mean popularity of each list, (n,); NaN for an empty list."""
        return _mean_of_list(self.popularity, items)

    def statistics(
        self, users: NDArray[np.int32], items: NDArray[np.int32], k: int, among: NDArray[np.bool_], unknown: str
    ) -> dict[str, Statistic]:
        r"""Novelty, diversity and popularity lift of the lists of those users that are True in `among`.

        The lift is (q − p) / p with p the mean over users of the popularity of what they rated, and
        q that of what they are shown: 0.5 says that lists are half as popular again as profiles.

        Source: Abdollahpouri, Mansoury, Burke, Mobasher, "The connection between popularity bias,
        calibration, and fairness in recommendation", RecSys 2020.

        Args:
            users: codes, (n,).
            items: their lists, (n, k).
            k: as in the names, `novelty_at_10`.
            among: (n,).
            unknown: why there would be no figure.
        """
        items = items[:, :k]
        novelty, diversity, shown = self.novelty(items), self.diversity(items), self.list_popularity(items)
        own = self.own_popularity[users]
        both = among & (own > 0) & np.isfinite(shown)
        columns = np.column_stack([np.where(both, shown, 0), np.where(both, own, 0), both]).astype(np.float64)
        few = unknown if k > 1 else "a list of one item has no pair"
        return {
            f"novelty_at_{k}": mean(novelty, among & np.isfinite(novelty), unknown=unknown),
            f"diversity_at_{k}": mean(diversity, among & np.isfinite(diversity), unknown=few),
            f"popularity_lift_at_{k}": Statistic(columns, _lift, unknown),
        }


def _lift(sums: Floats) -> Floats:
    lift: Floats = sums[..., 0] / sums[..., 1] - 1
    return lift


def _mean_of_list(values: Floats, items: NDArray[np.int32]) -> Floats:
    held = items >= 0
    sums = np.where(held, values[items], 0).sum(axis=1)
    n = held.sum(axis=1)
    return np.where(n > 0, sums / np.maximum(n, 1), np.nan)
