"""Alternating least squares with biases."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.models.alternation import Alternation
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Estimate
from mfcore.models.popularity import Popularity
from mfcore.models.prior import Prior
from mfcore.models.scaling import Missing, Units, standard_unit

__all__ = ["ALS"]


class ALS(Recommender):
    r"""Matrix factorization by alternating least squares: biased over ratings, or over all pairs for lists.

    Minimizes

        Σ_(u,i) (r_ui − μ − b_u − b_i − x_u·y_i)²
            + Σ_u n_u^γ (λ_u ‖x_u‖² + λ_bu b_u²) + Σ_i n_i^γ (λ_i ‖y_i‖² + λ_bi b_i²)

    where n_u and n_i count ratings and γ is `reg_exponent`: 0 is plain ridge regression, 1 the
    weighted-λ regularization of ALS-WR. λ are meant for ratings in units of their standard
    deviation σ, so that results do not hang on the ratings' unit; in the ratings' own unit, λ_u and
    λ_i are σ times as large. With one side fixed the other falls apart into one
    least-squares problem of k + 1 unknowns per row, factors and bias together, each solved
    exactly. An epoch solves all items, then all users; the objective never rises.

    With `nonnegative`, factors are kept at 0 or above (biases are free), so that a factor reads
    as a taste somebody has more or less of. Rows are then improved by cyclic coordinate descent
    on the same normal equations, from where the epoch before left them, until they stand still.

    With `missing_weight` w above 0 lists are what counts. What people have not rated they mostly do
    not like, so that every pair without a rating counts as a weak rating of r, `missing_rating`:

        Σ_rated (r_ui − r − x_u·y_i)² + w Σ_unrated (x_u·y_i)² + Σ_u n_u^γ λ_u ‖x_u‖² + Σ_i n_i^γ λ_i ‖y_i‖²

    and the score is r + x_u·y_i (`Alternation` says how it is solved). Biases are left out: kept
    exact, as columns of ones, they ranked no better on MovieLens 100K's validation part (mean of three
    searches of 30 trials: NDCG@10 0.261 with, 0.262 without), and they are needless
    since a factor can hold them. n counts ratings alone: with n + w · (all of the other side), as Rendle
    and others have it, the best lists are as good, but most other settings far worse.
    `popularity_weight` adds to each item's bias that many times log(1 + n_i), in rating units.
    Scores are then made for lists: on ratings, they are off.

    Sources: Zhou, Wilkinson, Schreiber, Pan, "Large-scale parallel collaborative filtering for
    the Netflix Prize", AAIM 2008; Koren, Bell, Volinsky, "Matrix factorization techniques for
    recommender systems", IEEE Computer 42(8), 2009; Hsieh, Dhillon, "Fast coordinate descent
    methods with variable selection for non-negative matrix factorization", KDD 2011; Steck, "Training
    and testing of recommender systems on data missing not at random", KDD 2010 (weak ratings);
    Rendle, Krichene, Zhang, Koren, "Revisiting the performance of iALS on item recommendation
    benchmarks", RecSys 2022.

    Attributes:
        n_factors: k, length of a factor row.
        reg_user: λ_u; reg_item: λ_i; reg_user_bias: λ_bu; reg_item_bias: λ_bi.
        reg_exponent: γ.
        nonnegative: whether factors are kept from going below zero.
        missing_weight: w, from 0 to 1; 0: only ratings count.
        missing_rating: r, in rating units; it may be off the scale.
        popularity_weight: weight of log(1 + number of ratings) in the items' biases, in rating units.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> factors = ALS(n_factors=2, n_epochs=5).train(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> factors.user_factors.shape, factors.user_factors.dtype.name
    ((2, 2), 'float32')
    """

    algorithm: ClassVar[str] = "als"
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 128, log=True),
        "reg_user": Range(0.03, 10, log=True),
        "reg_item": Range(0.03, 10, log=True),
        "reg_user_bias": Range(0.03, 10, log=True),
        "reg_item_bias": Range(0.03, 10, log=True),
        "reg_exponent": Range(0.3, 1),
    }
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(12, 128, log=True),
        "reg_user": Range(0.05, 10, log=True),
        "reg_item": Range(0.05, 10, log=True),
        "reg_exponent": Range(0.3, 1),
        **LIST_RANGES,
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 32,
        "n_epochs": 8,
        "reg_user": 0.55,
        "reg_item": 1.1,
        "reg_exponent": 0.77,
        "missing_weight": 0.32,
        "missing_rating": -0.34,
        "popularity_weight": 0.02,
    }

    n_factors: int = Field(64, ge=1)
    n_epochs: int = Field(6, ge=0)
    reg_user: float = Field(1.0, gt=0)
    reg_item: float = Field(1.0, gt=0)
    reg_user_bias: float = Field(0.5, gt=0)
    reg_item_bias: float = Field(0.5, gt=0)
    reg_exponent: float = Field(0.5, ge=0, le=1)
    nonnegative: bool = False
    missing_weight: float = Field(0.0, ge=0, le=1)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Start from small random user factors, or from the rows of `start`."""
        unit, rest = standard_unit(ratings)
        missing = Missing(self.missing_weight, self.missing_rating)
        reg_user_bias, reg_item_bias = (self.reg_user_bias, self.reg_item_bias) if not missing.weight else (np.inf,) * 2
        return Alternation(
            self,
            ratings,
            start,
            units=Units.of(ratings, unit, missing),
            n_factors=self.n_factors,
            # λ is that of ratings whose standard deviation is 1, here it is `rest`.
            user_prior=Prior.ridge(self.n_factors, self.reg_user * rest, reg_user_bias),
            item_prior=Prior.ridge(self.n_factors, self.reg_item * rest, reg_item_bias),
            popularity=Popularity(ratings, self.popularity_weight, for_lists=missing.weight > 0),
            exponent=self.reg_exponent,
            missing_weight=missing.weight,
            estimate=Estimate.NONNEGATIVE if self.nonnegative else Estimate.MODE,
            deviation=(_WEAK_DEVIATION if missing.weight else _DEVIATION) * rest**0.5,
        )


_DEVIATION = 0.001
"""Of the first user factors. Each sweep multiplies the directions that the data have most to say
about by most, so from a smaller start these have outgrown the noise by the epoch training stops
at: 0.01 gave a validation RMSE 0.001 to 0.002 larger on MovieLens 100K, and 0.0001, better by
0.0005 at k = 128 alone, spends two more epochs with factors that are still nothing."""
_WEAK_DEVIATION = 0.1
"""The same where pairs without a rating count: these damp the noise, and lists are as good two epochs earlier."""
