"""The alternation that ALS, PMF and BPMF share: all items solved in closed form, then all users."""

import numpy as np

from mfcore.data.ratings import Ratings
from mfcore.models.base import Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Block, Side
from mfcore.models.prior import Prior
from mfcore.models.scaling import Units, continue_from
from mfcore.models.sides import sides

__all__ = ["Alternation"]


class Alternation(Training):
    """A fit whose every step solves each item's row, then each user's.

    Users come last so that a user's row is the closed form given the items' as they are handed
    out, which is what fold-in computes.
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
        exponent: float = 0.0,
        method: int = 0,
        with_variance: bool = False,
        deviation: float = 0.01,
    ) -> None:
        from mfcore.models.kernels.rows import padded

        self.recommender, self.ratings, self.units = recommender, ratings, units
        self.user_prior, self.item_prior, self.exponent = user_prior, item_prior, exponent
        self.n_factors, self.method = n_factors, method
        self.noise = 1.0
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
        logistic = self.units.link == "logistic"
        solve_rows(
            side, self.units.offset, other, own, precision, center,
            self.exponent, self.method, self.noise, seed, logistic,
        )  # fmt: skip

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        priors = self.user_prior, self.item_prior
        return self.units.factors(self.ratings, self.users, self.items, priors, self.exponent)
