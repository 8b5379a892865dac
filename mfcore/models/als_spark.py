"""Alternating least squares on a Spark cluster."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.baselines import BiasOnly
from mfcore.models.factors import Factors
from mfcore.models.foldin import Part
from mfcore.models.popularity import Popularity
from mfcore.models.scaling import standard_deviation
from mfcore.models.spark import factorize, require_spark

__all__ = ["ALSSpark"]


class ALSSpark(Recommender):
    r"""Spark MLlib's alternating least squares, for ratings that one machine does not hold.

    MLlib's has no biases. So for ratings they are fitted first, as `BiasOnly` does, and what they leave,
    e_ui = (r_ui − μ − b_u − b_i) / σ, σ the ratings' standard deviation, is factorized:

        Σ_(u,i) (e_ui − x_u·y_i)² + λ (Σ_u n_u ‖x_u‖² + Σ_i n_i ‖y_i‖²)

    where n counts ratings. With `alpha` α above 0 lists are what counts: with z_ui = (r_ui − r) / d, d being the mean
    of r_ui − r where that is positive, each pair has a weight and a preference p that is 1 where z > 0, else 0,

        Σ_(u,i) (1 + α |z_ui|) (p_ui − x_u·y_i)² + λ (Σ_u n_u ‖x_u‖² + Σ_i n_i ‖y_i‖²),

    over all pairs, z being 0 where there is no rating; scores are r + d x_u·y_i.

    All iterations are one epoch here, since MLlib does not go on from given factors. A fit is the same each time to
    rounding, not to the last bit: sums are made in the order in which Spark's machines answer. Where it runs is said
    by `[spark]` in the configuration. A new user is folded in with their bias, solved together with their row.

    Sources: Zhou, Wilkinson, Schreiber, Pan, "Large-scale parallel collaborative filtering for the Netflix prize",
    AAIM 2008 (λ n); Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008 (α).

    Attributes:
        n_factors: length of a factor row; MLlib's rank.
        max_iter: iterations, each of both sides.
        reg: λ; MLlib's regParam.
        reg_user_bias: of `BiasOnly`, as reg_item_bias.
        alpha: α; 0: only ratings count.
        missing_rating: r, in rating units; it may be off the scale.
        popularity_weight: as in `ALS`.
        nonnegative: whether factors are kept from going below zero.
        n_blocks: parts of the users, and of the items, that Spark works on at a time; results depend on it a little.
    """

    algorithm: ClassVar[str] = "als-spark"
    elsewhere: ClassVar[bool] = True
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 128, log=True),
        "max_iter": Range(5, 25),
        "reg": Range(0.02, 0.4, log=True),
        "reg_user_bias": Range(0.5, 30, log=True),
        "reg_item_bias": Range(0.5, 30, log=True),
    }
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(12, 128, log=True),
        "reg": Range(0.003, 0.3, log=True),
        "alpha": Range(0.5, 30, log=True),
        "missing_rating": LIST_RANGES["missing_rating"],
        "popularity_weight": LIST_RANGES["popularity_weight"],
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 32,
        "reg": 0.03,
        "alpha": 4.0,
        "missing_rating": -0.1,
        "popularity_weight": 0.0,
    }

    n_epochs: int = Field(1, ge=0)
    n_factors: int = Field(20, ge=1)
    max_iter: int = Field(10, ge=1)
    reg: float = Field(0.1, gt=0)
    reg_user_bias: float = Field(5.0, gt=0)
    reg_item_bias: float = Field(2.0, gt=0)
    alpha: float = Field(0.0, ge=0)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    nonnegative: bool = False
    n_blocks: int = Field(10, ge=1)

    @classmethod
    def require(cls) -> None:
        """Refuse to go on without Spark.

        Raises:
            UsageError: pyspark or Java is not installed.
        """
        require_spark()

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Nothing is learned before the first step. `start` is of no use here."""
        return _OnSpark(self, ratings)


class _OnSpark(Training):
    def __init__(self, recommender: ALSSpark, ratings: Ratings) -> None:
        self.recommender, self.ratings = recommender, ratings
        r, k = recommender, recommender.n_factors
        if r.alpha:
            above = ratings.values.astype(np.float64) - r.missing_rating
            liked = above[above > 0]
            self.unit = float(liked.mean()) if len(liked) else 1.0
            self.base = replace(BiasOnly(n_epochs=0).train(ratings), global_mean=r.missing_rating)
        else:
            self.unit = standard_deviation(ratings)
            biases = BiasOnly(reg_user_bias=r.reg_user_bias, reg_item_bias=r.reg_item_bias)
            self.base = biases.train(ratings)
        self.user_factors = np.zeros((ratings.n_users, k), np.float32)
        self.item_factors = np.zeros((ratings.n_items, k), np.float32)

    def step(self) -> None:
        """Have Spark do all its iterations, once."""
        r, ratings = self.recommender, self.ratings
        if self.epoch == 0 and len(ratings):
            left = (ratings.values - self.base.pair_scores(ratings.users, ratings.items)) / np.float32(self.unit)
            both = factorize(
                ratings.users,
                ratings.items,
                left,
                (ratings.n_users, ratings.n_items),
                rank=r.n_factors,
                maxIter=r.max_iter,
                regParam=r.reg,
                implicitPrefs=r.alpha > 0,
                alpha=r.alpha,
                nonnegative=r.nonnegative,
                seed=r.seed,
                numUserBlocks=r.n_blocks,
                numItemBlocks=r.n_blocks,
            )
            self.user_factors, self.item_factors = (rows * np.float32(self.unit**0.5) for rows in both)
        self.epoch += 1
        self.check_finite(r, "a larger reg", self.user_factors, self.item_factors)

    def factors(self) -> Factors:
        """What Spark has learned, with the biases."""
        r, base, k = self.recommender, self.base, self.recommender.n_factors
        weight = 1 / (1 + r.alpha) if r.alpha else 0.0
        # What MLlib weighs by 1 + α z weighs 1 here where z is 1, and all else in proportion.
        precision = np.diag(np.full(k + 1, r.reg * self.unit * (weight or 1.0), np.float32))
        per_user = max(1.0, len(self.ratings) / max(1, self.ratings.n_users))
        precision[k, k] = np.inf if r.alpha else r.reg_user_bias / per_user
        gram = np.float32(weight) * np.einsum("nk,nl->kl", self.item_factors, self.item_factors)
        part = Part(
            columns=k,
            weight=1.0,
            global_mean=base.global_mean,
            item_bias=base.item_bias,
            precision=precision,
            exponent=1.0,
            missing_weight=weight,
            gram=gram if r.alpha else None,
            nonnegative=r.nonnegative,
            confidence=r.alpha or None,
            unit=self.unit,
        )
        learned = replace(
            base, user_factors=self.user_factors.copy(), item_factors=self.item_factors.copy(), parts=(part,)
        )
        return Popularity(self.ratings, r.popularity_weight, for_lists=r.alpha > 0).added_to(learned)
