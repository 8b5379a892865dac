"""A weighted mean of models, the weights fitted on ratings that none of them saw."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SerializeAsAny, field_validator

from mfcore.data.ratings import Ratings
from mfcore.errors import UsageError
from mfcore.models.als import ALS
from mfcore.models.base import Recommender, Training
from mfcore.models.bpmf import BPMF
from mfcore.models.factors import Factors
from mfcore.models.knn import ItemKNN
from mfcore.models.mixing import weighted_sum
from mfcore.models.pmf import PMF
from mfcore.models.recipe import Recipe
from mfcore.models.scaling import mean_rating

__all__ = ["Blend", "blend_weights"]


class Blend(Recommender):
    r"""A non-negative combination of other models' scores.

    A share `held_out` of the ratings is kept from the members, which are fitted on the rest; the
    weights minimize Σ (r_ui − μ − Σ_m w_m (s_m(u, i) − μ))² over the held-out ratings with w ≥ 0.
    Then the members are fitted again on all ratings. Weighted sums of dot products are dot
    products, so the blend is `Factors` like any other, the members' columns side by side.

    Source: Jahrer, Töscher, Legenstein, "Combining predictions for accurate recommender
    systems", KDD 2010; Breiman, "Stacked regressions", Machine Learning 24, 1996 (w ≥ 0).

    Attributes:
        members: models, or recipes as {"algorithm": …, "params": …}; all with the same link.
        held_out: share of ratings that weights are fitted on.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> blend = Blend(members=[{"algorithm": "bias"}, {"algorithm": "als", "params": {"n_factors": 2}}])
    >>> blend.fit(Ratings.from_frame(frame, Scale(1, 5, 1))).n_factors
    2
    """

    algorithm: ClassVar[str] = "blend"

    n_epochs: int = Field(1, ge=0)
    members: tuple[SerializeAsAny[Recommender], ...] = (BPMF(), PMF(), ALS(n_factors=64), ItemKNN())
    held_out: float = Field(0.1, gt=0, lt=0.5)

    @field_validator("members", mode="before")
    @classmethod
    def _built(cls, members: Any) -> Any:
        try:
            return tuple(Recipe.model_validate(one).build() if isinstance(one, dict) else one for one in members)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @field_validator("members")
    @classmethod
    def _some(cls, members: tuple[Recommender, ...]) -> tuple[Recommender, ...]:
        if not members:
            raise ValueError("a blend needs members")
        return members

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
        weights = blend_weights([member.fit(rest) for member in r.members], held_out)
        return combined([member.fit(self.ratings) for member in r.members], weights, mean_rating(self.ratings))

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
    from threadpoolctl import threadpool_limits

    if len(validation) == 0:
        return np.full(len(members), 1 / len(members))
    mean = mean_rating(validation)
    scores = [member.pair_scores(validation.users, validation.items).astype(np.float64) - mean for member in members]
    with threadpool_limits(1, "blas"):
        weights: NDArray[np.float64] = nnls(np.column_stack(scores), validation.values.astype(np.float64) - mean)[0]
    return weights if weights.any() else np.full(len(members), 1 / len(members))


def combined(members: Sequence[Factors], weights: NDArray[np.float64], mean: float) -> Factors:
    """The weighted sum of scores about `mean`: mean + Σ_m w_m (s_m − mean)."""
    total = weighted_sum(members, weights)
    return replace(total, global_mean=total.global_mean + (1 - float(weights.sum())) * mean)
