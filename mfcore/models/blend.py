"""A weighted mean of models, the weights fitted on ratings that none of them saw."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_serializer, field_validator

from mfcore.data.ratings import Ratings
from mfcore.errors import UsageError
from mfcore.machine import one_blas_thread
from mfcore.models.als import ALS
from mfcore.models.base import Recommender, Training
from mfcore.models.bpmf import BPMF
from mfcore.models.factors import Factors
from mfcore.models.knn import ItemKNN
from mfcore.models.lists import top_k
from mfcore.models.mixing import weighted_sum
from mfcore.models.pmf import PMF
from mfcore.models.popularity import Popularity
from mfcore.models.rated import RatedItems
from mfcore.models.recipe import Recipe
from mfcore.models.scaling import mean_rating

__all__ = ["Blend", "blend_weights", "combined", "combined_for_lists", "ranking_weights"]

_ROUNDS = 20
"""Members added to a blend for lists, which has weights in steps of this many parts of the whole."""
_CELLS = 1 << 23
"""Scores of a member held while weights are searched: 32 MB."""
_USERS = 512
"""Users that the spread of scores is measured on at most."""


class Blend(Recommender):
    r"""A non-negative combination of other models' scores.

    A share `held_out` of the ratings is kept from the members, which are fitted on the rest; the
    weights minimize Σ (r_ui − μ − Σ_m w_m (s_m(u, i) − μ))² over the held-out ratings with w ≥ 0.
    Then the members are fitted again on all ratings. Weighted sums of dot products are dot
    products, so the blend is `Factors` like any other, the members' columns side by side.

    With the `objective` "ranking" members' scores are divided by how far the items of a user are
    apart in them, and the weights are those with which lists of ten have the largest NDCG on the
    held-out ratings that a greedy search finds (`ranking_weights`).

    Sources: Jahrer, Töscher, Legenstein, "Combining predictions for accurate recommender
    systems", KDD 2010; Breiman, "Stacked regressions", Machine Learning 24, 1996 (w ≥ 0); Caruana,
    Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models", ICML 2004 (ranking).

    Attributes:
        members: models, or recipes as {"algorithm": …, "params": …}; all with the same link.
        objective: "rating" or "ranking".
        held_out: share of ratings that weights are fitted on.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> blend = Blend(members=[{"algorithm": "bias"}, {"algorithm": "als", "params": {"n_factors": 2}}])
    >>> blend.train(Ratings.from_frame(frame, Scale(1, 5, 1))).n_factors
    2
    """

    algorithm: ClassVar[str] = "blend"

    n_epochs: int = Field(1, ge=0)
    members: tuple[Recommender, ...] = (BPMF(), PMF(), ALS(n_factors=64), ItemKNN())
    objective: Literal["rating", "ranking"] = "rating"
    held_out: float = Field(0.1, gt=0, lt=0.5)

    @field_validator("members", mode="before")
    @classmethod
    def _built(cls, members: Any) -> Any:
        try:
            return tuple(
                Recipe.model_validate(member).build() if isinstance(member, dict) else member for member in members
            )
        except UsageError as error:
            raise ValueError(str(error)) from error

    @field_validator("members")
    @classmethod
    def _some(cls, members: tuple[Recommender, ...]) -> tuple[Recommender, ...]:
        if not members:
            raise ValueError("a blend needs members")
        return members

    @field_serializer("members")
    def _as_recipes(self, members: tuple[Recommender, ...]) -> list[dict[str, Any]]:
        return [Recipe.of(member).model_dump() for member in members]

    def reseeded(self, seed: int) -> Self:
        """The same members and hyper-parameters with another seed, the members' too."""
        return self.model_copy(
            update={"seed": seed, "members": tuple(member.reseeded(seed) for member in self.members)}
        )

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Nothing is learned before the first step. `start` is of no use here."""
        return _Blending(self, ratings)


class _Blending(Training):
    def __init__(self, recommender: Blend, ratings: Ratings) -> None:
        self.recommender, self.ratings = recommender, ratings
        self.blended: Factors | None = None

    def step(self) -> None:
        """Fit members, weights, and members again, once."""
        if self.epoch == 0:
            self.blended = self._blend()
        self.epoch += 1

    def _blend(self) -> Factors:
        r, n = self.recommender, len(self.ratings)
        order = np.random.default_rng(r.seed).permutation(n)
        cut = round(n * r.held_out)
        held_out, rest = self.ratings.take(np.sort(order[:cut])), self.ratings.take(np.sort(order[cut:]))
        fitted = [member.train(rest) for member in r.members]
        if r.objective == "ranking":
            weights = ranking_weights(fitted, held_out, rest)
            return combined_for_lists([member.train(self.ratings) for member in r.members], weights, self.ratings)
        weights = blend_weights(fitted, held_out)
        return combined([member.train(self.ratings) for member in r.members], weights, mean_rating(self.ratings))

    def factors(self) -> Factors:
        """The blend; before the first step the members' first with no training at all."""
        if self.blended is None:
            return self.recommender.members[0].begin(self.ratings).factors()
        return self.blended


def blend_weights(members: Sequence[Factors], validation: Ratings) -> NDArray[np.float64]:
    """Non-negative weights, (len(members),), with which the members' scores best predict `validation`.

    Equal weights where there is nothing to fit them on.
    """
    from scipy.optimize import nnls

    if len(validation) == 0:
        return np.full(len(members), 1 / len(members))
    mean = mean_rating(validation)
    scores = [member.pair_scores(validation.users, validation.items).astype(np.float64) - mean for member in members]
    with one_blas_thread():
        weights: NDArray[np.float64] = nnls(np.column_stack(scores), validation.values.astype(np.float64) - mean)[0]
    return weights if weights.any() else np.full(len(members), 1 / len(members))


def combined(members: Sequence[Factors], weights: NDArray[np.float64], mean: float) -> Factors:
    """The weighted sum of scores about `mean`: mean + Σ_m w_m (s_m − mean)."""
    total = weighted_sum(members, weights)
    return replace(total, global_mean=total.global_mean + (1 - float(weights.sum())) * mean)


def ranking_weights(
    members: Sequence[Factors], validation: Ratings, known: Ratings, k: int = 10
) -> NDArray[np.float64]:
    """Non-negative weights of the sum 1, (len(members),), with which standardized scores make the best lists.

    Starting from nothing, the member whose addition gives the largest NDCG@k is added, again and
    again; the weights are those of the best round. A rating counts as liked in the upper 40 % of
    the scale. Where there are more users than fit, every n-th of them counts.

    Args:
        members: trained on `known`.
        validation: ratings that they have not seen.
        known: over the same codes; what users rated there is left out of their lists.
        k: length of the lists.
    """
    n = len(members)
    liked = validation.take(np.flatnonzero(validation.values >= known.scale.minimum + 0.6 * known.scale.width))
    users = np.unique(liked.users)
    if not len(users):
        return np.full(n, 1 / n)
    users = users[:: -(-len(users) * known.n_items // _CELLS)].astype(np.int32)
    rated, wanted = (_among(users, ratings) for ratings in (known, liked))
    with one_blas_thread():  # another number of threads would be other bits
        scores = [
            np.where(rated, -np.inf, member.scores(users) / _spread(member)).astype(np.float32) for member in members
        ]
    total, counts = np.zeros_like(scores[0]), np.zeros(n)
    best, best_counts = -1.0, counts
    for _ in range(_ROUNDS):
        ndcg = [_mean_ndcg(total + own, wanted, k) for own in scores]
        chosen = int(np.argmax(ndcg))
        total += scores[chosen]
        counts = counts + np.eye(n)[chosen]
        if ndcg[chosen] > best:
            best, best_counts = ndcg[chosen], counts
    weights: NDArray[np.float64] = best_counts / best_counts.sum()
    return weights


def combined_for_lists(members: Sequence[Factors], weights: NDArray[np.float64], ratings: Ratings) -> Factors:
    """The weighted sum of standardized scores of members trained on `ratings`."""
    with one_blas_thread():
        spreads = np.array([_spread(member) for member in members])
    return Popularity(ratings, 0.0, for_lists=True).added_to(weighted_sum(members, weights / spreads))


def _spread(factors: Factors) -> float:
    """Standard deviation of the items' scores, mean over users; 1 where they don't differ."""
    n = len(factors.user_ids)
    users = np.arange(0, n, max(1, n // _USERS), dtype=np.int32)
    if not len(users) or not len(factors.item_ids):
        return 1.0
    return float(np.mean(factors.scores(users).std(axis=1, dtype=np.float64))) or 1.0


def _among(users: NDArray[np.int32], ratings: Ratings) -> NDArray[np.bool_]:
    """Which items each of `users` has in `ratings`, (len(users), n_items)."""
    starts, codes = RatedItems.of(ratings).rows(users)
    among = np.zeros((len(users), ratings.n_items), np.bool_)
    among[np.repeat(np.arange(len(users)), np.diff(starts)), codes] = True
    return among


def _mean_ndcg(scores: NDArray[np.float32], wanted: NDArray[np.bool_], k: int) -> float:
    """NDCG@k of the lists by `scores`, each user having a wanted item."""
    top, _ = top_k(scores, np.zeros(len(scores) + 1, np.int64), np.empty(0, np.int32), k)
    hits = np.take_along_axis(wanted, np.maximum(top, 0), axis=1) & (top >= 0)
    gains = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gains)[np.minimum(wanted.sum(axis=1), k) - 1]
    return float(np.mean(hits @ gains / ideal))
