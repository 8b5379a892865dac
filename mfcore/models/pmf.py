"""Probabilistic matrix factorization, with fixed or adaptive priors."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from mfcore.data.ratings import Ratings
from mfcore.models.alternation import Alternation
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Block, Side
from mfcore.models.popularity import Popularity
from mfcore.models.prior import Prior
from mfcore.models.scaling import Missing, Units, standard_deviation

__all__ = ["PMF"]


class PMF(Recommender):
    r"""Probabilistic matrix factorization: Gaussian ratings, Gaussian priors, rows at their mode.

    With standardized ratings z_ui = (r_ui − μ) / σ the model is

        z_ui ~ N(b_u + b_i + x_u·y_i, s²)
        x_u ~ N(0, s²/λ_u I),  y_i ~ N(0, s²/λ_i I),  b_u ~ N(0, s²/λ_bu),  b_i ~ N(0, s²/λ_bi)

    so that the posterior is largest where

        Σ_(u,i) (z_ui − b_u − b_i − x_u·y_i)²
            + λ_u Σ_u ‖x_u‖² + λ_i Σ_i ‖y_i‖² + λ_bu Σ_u b_u² + λ_bi Σ_i b_i²

    is least. An epoch puts each item's row at its mode given the users, then each user's given
    the items, both in closed form. The paper's model has no biases; they are the special case of
    a factor fixed at one on the other side, with a prior of their own.

    With `priors` "diagonal" (the default) or "spherical", s², the centers and the variances of the priors are
    re-estimated after each epoch, one variance a side or one a dimension. At the rows' modes alone
    that would shrink to nothing, since a mode lies nearer to the center than its row; so each
    row keeps the variances v of its factors, and

        A_u = Σ_i (y_i y_iᵀ + diag v_i) + diag λ,   v_ud = s² / (A_u)_dd
        λ_d = s² / mean_u ((x_ud − c_d)² + v_ud),   c_d = mean_u x_ud

    which is expectation–maximization with each factor's posterior taken for an independent
    Gaussian. The λ given are where it starts from. A dimension that explains nothing shrinks to
    nothing, so that k need not be tuned; with one variance for all of them they only shrink
    together, which with many more dimensions than the data bears ends at biases alone.

    With `missing_weight` above 0, pairs without a rating count as weak ratings, as in `ALS`: they
    join the noise and the variances of rows as that share of a rating. Biases are left out then and priors lie about
    zero, so that a row of zeros is somebody of whom nothing is known.

    With the link "logistic" scores pass through 1 / (1 + exp(−s)) onto the rating scale, in
    training as in prediction; σ is then the ratings' spread as a share of the scale, and a row
    takes one Gauss–Newton step an epoch towards its mode.

    Sources: Salakhutdinov, Mnih, "Probabilistic matrix factorization", NIPS 2007; Lim, Teh,
    "Variational Bayesian approach to movie rating prediction", KDD Cup 2007 (the variances).

    Attributes:
        n_factors: k, length of a factor row.
        reg_user: λ_u, ratio of the noise's variance to that of user factors.
        reg_item: λ_i; reg_user_bias: λ_bu; reg_item_bias: λ_bi.
        priors: "fixed", or which variances are re-estimated.
        link: "identity" or "logistic".
        missing_weight, missing_rating, popularity_weight: as in `ALS`; without the link "logistic".

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> factors = PMF(n_factors=2, n_epochs=5).train(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> factors.item_factors.shape
    (3, 2)
    """

    algorithm: ClassVar[str] = "pmf"
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 64, log=True),
        "reg_user": Range(1, 100, log=True),
        "reg_item": Range(1, 100, log=True),
        "reg_user_bias": Range(0.3, 10, log=True),
        "reg_item_bias": Range(0.3, 10, log=True),
    }
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(12, 96, log=True),
        **LIST_RANGES,
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 40,
        "n_epochs": 8,
        "missing_weight": 0.2,
        "missing_rating": -0.2,
        "popularity_weight": 0.035,
    }

    n_factors: int = Field(16, ge=1)
    n_epochs: int = Field(60, ge=0)
    reg_user: float = Field(10.0, gt=0)
    reg_item: float = Field(10.0, gt=0)
    reg_user_bias: float = Field(4.0, gt=0)
    reg_item_bias: float = Field(0.5, gt=0)
    missing_weight: float = Field(0.0, ge=0, le=1)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    priors: Literal["fixed", "spherical", "diagonal"] = "diagonal"
    link: Literal["identity", "logistic"] = "identity"

    @field_validator("link")
    @classmethod
    def _without_missing(cls, link: str, info: ValidationInfo) -> str:
        if link == "logistic" and (info.data.get("missing_weight") or info.data.get("popularity_weight")):
            raise ValueError("behind the logistic link there is no missing_weight and no popularity_weight")
        return link

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Start from small random user factors, or from the rows of `start`."""
        return _Modes(self, ratings, start)


class _Modes(Alternation):
    """The alternation, with priors that may follow what has been learned."""

    def __init__(self, recommender: PMF, ratings: Ratings, start: Factors | None) -> None:
        r = recommender
        missing = Missing(r.missing_weight, r.missing_rating)
        reg_user_bias, reg_item_bias = (r.reg_user_bias, r.reg_item_bias) if not missing.weight else (np.inf,) * 2
        width = standard_deviation(ratings)
        logistic = r.link == "logistic"
        # Behind the link errors are shares of the scale: λ keeps its meaning if they are measured by their own spread.
        unit = (width / (ratings.scale.width or 1.0)) ** 2 if logistic else 1.0
        super().__init__(
            recommender,
            ratings,
            start,
            units=Units.logistic(ratings) if logistic else Units.of(ratings, width, missing),
            n_factors=r.n_factors,
            user_prior=Prior.ridge(r.n_factors, r.reg_user * unit, reg_user_bias * unit),
            item_prior=Prior.ridge(r.n_factors, r.reg_item * unit, reg_item_bias * unit),
            popularity=Popularity(ratings, r.popularity_weight, for_lists=missing.weight > 0),
            missing_weight=missing.weight,
            with_variance=r.priors != "fixed",
        )
        self.priors = r.priors
        self.noise = float(np.sqrt(unit))

    def step(self) -> None:
        """Re-estimate noise and priors from the rows as they are; then solve all items and all users.

        In this order, so that rows are handed out together with the priors they were solved with.
        """
        if self.priors != "fixed" and self.epoch > 0 and len(self.ratings):
            self._adapt()
        super().step()

    def _adapt(self) -> None:
        error, weight = self.squared_error()
        self.noise = max(float(np.sqrt(error / weight)), _LEAST)
        if self.epoch >= _SETTLED:
            self.user_prior = self._adapted(self.by_user, self.users)
            self.item_prior = self._adapted(self.by_item, self.items)

    def _adapted(self, side: Side, block: Block) -> Prior:
        """The prior under which this side's rows, with their variances, are likeliest."""
        counts = np.diff(side.starts)
        rated = counts > 0
        factors = block.factors[rated, : self.n_factors].astype(np.float64)
        bias = block.bias[rated].astype(np.float64)
        center = np.append(factors.mean(axis=0), bias.mean())
        if self.missing_weight:
            center[:] = 0
        variance = np.mean(np.square(factors - center[:-1]) + block.variance[rated, : self.n_factors], axis=0)
        if self.priors == "spherical":
            variance[:] = variance.mean()
        bias_variance = np.mean(np.square(bias - center[-1]) + self.noise**2 / (counts[rated] + 1))
        precision = self.noise**2 / np.maximum(np.append(variance, bias_variance), _LEAST**2)
        if self.missing_weight:
            precision[-1] = np.inf
        return Prior(np.diag(precision.astype(np.float32)), center.astype(np.float32))


_SETTLED = 8
"""Epochs after which factors have left their random start and say something about their prior."""
_LEAST = 1e-3
"""Standard deviations are kept from vanishing where ratings are all alike."""
