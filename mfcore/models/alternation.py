"""The alternation that ALS and PMF share: all users solved in closed form, then all items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.models.base import Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.sides import centre, in_rating_units, sides

__all__ = ["Alternation", "Prior"]


@dataclass(frozen=True, eq=False)
class Prior:
    """Where a side's rows are drawn to, and how strongly.

    Attributes:
        precision: float32, (k,); weight of (x − centre)² in each dimension.
        centre: float32, (k,).
        bias_precision: weight of (b − bias_centre)².
        bias_centre: where biases are drawn to.
    """

    precision: NDArray[np.float32]
    centre: NDArray[np.float32]
    bias_precision: float
    bias_centre: float = 0.0

    @classmethod
    def ridge(cls, n_factors: int, reg: float, reg_bias: float) -> "Prior":
        """The same pull to zero in each dimension."""
        return cls(np.full(n_factors, reg, np.float32), np.zeros(n_factors, np.float32), reg_bias)


class Alternation(Training):
    """A fit whose every step solves each user's row, then each item's.

    Works on ratings divided by `unit`; `factors` are in the ratings' own unit.
    """

    def __init__(
        self,
        recommender: Recommender,
        ratings: Ratings,
        *,
        n_factors: int,
        user_prior: Prior,
        item_prior: Prior,
        exponent: float,
        unit: float = 1.0,
    ) -> None:
        from mfcore.models.kernels.rows import padded

        self.recommender, self.ratings = recommender, ratings
        self.user_prior, self.item_prior, self.exponent = user_prior, item_prior, exponent
        self.n_factors, self.unit = n_factors, unit
        self.mean = centre(ratings)
        self.by_user, self.by_item = sides(ratings, n_factors)
        size = padded(n_factors)
        self.user_factors = np.zeros((ratings.n_users, size), np.float32)
        self.item_factors = np.zeros((ratings.n_items, size), np.float32)
        self.user_bias = np.zeros(ratings.n_users, np.float32)
        self.item_bias = np.zeros(ratings.n_items, np.float32)
        noise = np.random.default_rng(recommender.seed).standard_normal((ratings.n_items, n_factors), dtype=np.float32)
        self.item_factors[:, :n_factors] = np.float32(0.1) * noise

    def step(self) -> None:
        """Solve all users, then all items."""
        from mfcore.models.kernels.rows import solve_rows

        users, items = (self.user_factors, self.user_bias), (self.item_factors, self.item_bias)
        for side, other, own, prior in (
            (self.by_user, items, users, self.user_prior),
            (self.by_item, users, items, self.item_prior),
        ):
            padding = (0, own[0].shape[1] - self.n_factors)
            solve_rows(
                side.bounds, side.starts, side.columns, side.values, self.mean, 1 / self.unit, *other, *own,
                np.pad(prior.precision, padding, constant_values=1), np.pad(prior.centre, padding),
                prior.bias_precision, prior.bias_centre, self.exponent,
            )  # fmt: skip
        self.epoch += 1
        self.check_finite(self.recommender, "a larger reg_user or reg_item", *users, *items)

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        return in_rating_units(
            self.ratings,
            self.mean,
            self.unit,
            (self.user_bias, self.user_factors),
            (self.item_bias, self.item_factors),
            self.n_factors,
        )
