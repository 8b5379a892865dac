"""The alternation that ALS, PMF and BPMF share: all items solved in closed form, then all users."""

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.machine import one_blas_thread
from mfcore.models.base import Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Block, Estimate, Pull, Scoring, Side
from mfcore.models.popularity import Popularity
from mfcore.models.prior import Prior
from mfcore.models.scaling import Units, continue_from
from mfcore.models.sides import sides

__all__ = ["Alternation"]

_DEVIATION = 0.01
"""Of the first user factors, beside ratings whose standard deviation is about 1: any small number, not zero, from
which all rows would stay zero. ALS, which stops early, has its own."""


class Alternation(Training):
    r"""A fit whose every step solves each item's row, then each user's.

    Users come last so that a user's row is the closed form given the items' as they are handed
    out, which is what fold-in computes.

    With `missing_weight` w above 0 every pair without a rating counts as a weak rating. Trained
    on z_ui, ratings less the one that stands in for those that are missing, a user's row is

        x_u = ((1 − w) Σ_i y_i y_iᵀ + w YᵀY + n_u^γ P)⁻¹ (Σ_i z_ui y_i + n_u^γ P c),

    sums over what the user rated: Σ_rated (z − x·y)² + w Σ_unrated (x·y)², the unrated taken as all
    pairs less the rated. YᵀY is the same for every user, one k × k product per half sweep.

    Sources: Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM
    2008 (the product); Steck, "Training and testing of recommender systems on data missing not at
    random", KDD 2010 (the weak ratings).
    """

    def __init__(
        self,
        recommender: Recommender,
        ratings: Ratings,
        start: Factors | None,
        *,
        units: Units,
        n_factors: int,
        user_prior: Prior,
        item_prior: Prior,
        popularity: Popularity,
        exponent: float = 0.0,
        missing_weight: float = 0.0,
        estimate: Estimate = Estimate.MODE,
        with_variance: bool = False,
        deviation: float = _DEVIATION,
    ) -> None:
        from mfcore.models.kernels.systems import padded

        self.recommender, self.ratings, self.units = recommender, ratings, units
        self.user_prior, self.item_prior, self.exponent = user_prior, item_prior, exponent
        self.n_factors, self.missing_weight, self.estimate = n_factors, missing_weight, estimate
        self.popularity = popularity
        self.noise = 1.0
        self.scoring = Scoring(units.offset, units.link == "logistic")
        self.by_user, self.by_item = sides(ratings, units.values(ratings), n_factors)
        size = padded(n_factors)
        self.users = Block.zeros(ratings.n_users, size, with_variance)
        self.items = Block.zeros(ratings.n_items, size, with_variance)
        self.random = np.random.default_rng(recommender.seed)
        shape = (ratings.n_users, n_factors)
        self.users.factors[:, :n_factors] = np.float32(deviation) * self.random.standard_normal(shape, dtype=np.float32)
        if start is not None:
            continue_from(start, ratings, units, n_factors, self.users, self.items)

    def step(self) -> None:
        """Solve all items, then all users."""
        self.solve(self.by_item, self.users, self.items, self.item_prior)
        self.solve(self.by_user, self.items, self.users, self.user_prior)
        self.epoch += 1
        remedy = "a larger reg_user or reg_item"
        self.check_finite(self.recommender, remedy, *self.users[:2], *self.items[:2])

    def solve(self, side: Side, other: Block, own: Block, prior: Prior) -> None:
        """Solve each row of one side."""
        from mfcore.models.kernels.rows import solve_rows

        precision, center = prior.padded(own.factors.shape[1])
        seed = int(self.random.integers(2**62))
        pull = Pull(precision, center, float(self.exponent), float(self.missing_weight), self.gram(other))
        solve_rows(side, other, own, pull, self.scoring, self.estimate.value, self.noise, seed)

    def gram(self, block: Block) -> NDArray[np.float32]:
        """W YᵀY over a side's rows, their variances on the diagonal; no rows where w is 0."""
        if self.missing_weight == 0:
            return np.empty((0, block.factors.shape[1]), np.float32)
        with one_blas_thread():  # another number of threads would be other bits
            gram = block.factors.T @ block.factors
        if len(block.variance):
            gram[np.diag_indices(len(gram))] += block.variance.sum(axis=0)
        return np.float32(self.missing_weight) * gram

    def squared_error(self) -> tuple[float, float]:
        """Sum of weighted squared errors over all pairs, in the trainer's unit, and the weights' sum."""
        from mfcore.models.kernels.rows import squared_error

        w, n = self.missing_weight, len(self.ratings)
        error = squared_error(self.by_user, self.items, self.users, self.scoring, float(w))
        if w == 0:
            return error, n
        error += float(np.vdot(self.gram(self.users).astype(np.float64), self.gram(self.items))) / w
        return error, n + w * (self.ratings.n_users * self.ratings.n_items - n)

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        k, w = self.n_factors, self.missing_weight
        learned = self.units.factors(
            self.ratings,
            self.users,
            self.items,
            (self.user_prior, self.item_prior),
            self.exponent,
            gram=self.gram(self.items)[:k, :k] if w else None,
            missing_weight=w,
            nonnegative=self.estimate is Estimate.NONNEGATIVE,
        )
        return self.popularity.added_to(learned)
