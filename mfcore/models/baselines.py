"""Yardsticks without factors: the mean, biases, popularity."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.models.base import Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.foldin import Part
from mfcore.models.scaling import mean_rating

__all__ = ["BiasOnly", "GlobalMean", "MostPopular"]


class _Biases(Training):
    """A fit that has biases only; a step is up to the algorithm."""

    def __init__(self, ratings: Ratings) -> None:
        self.ratings = ratings
        self.mean = mean_rating(ratings)
        self.user_bias = np.zeros(ratings.n_users, np.float32)
        self.item_bias = np.zeros(ratings.n_items, np.float32)

    def step(self) -> None:
        """Nothing is left to learn."""
        self.epoch += 1

    def parts(self) -> tuple[Part, ...]:
        """How a new user is solved for: not at all."""
        return ()

    def factors(self) -> Factors:
        """The biases so far, with no factors."""
        return Factors(
            global_mean=self.mean,
            user_bias=self.user_bias.copy(),
            item_bias=self.item_bias.copy(),
            user_factors=np.zeros((self.ratings.n_users, 0), np.float32),
            item_factors=np.zeros((self.ratings.n_items, 0), np.float32),
            user_ids=self.ratings.user_ids,
            item_ids=self.ratings.item_ids,
            scale=self.ratings.scale,
            parts=self.parts(),
        )


class GlobalMean(Recommender):
    """Predicts the mean rating for everybody.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "rating": [5.0, 2.0]})
    >>> GlobalMean().train(Ratings.from_frame(frame, Scale(1, 5, 1))).global_mean
    3.5
    """

    algorithm: ClassVar[str] = "global_mean"

    n_epochs: int = Field(0, ge=0)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Take the mean; there is nothing to step through."""
        return _Biases(ratings)


class MostPopular(Recommender):
    """Ranks items by their number of ratings, the same for everybody, and predicts the mean rating.

    The item bias is a thousandth of the scale's width times the item's count over the largest
    count: enough to order items, too little to matter as a rating.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 2, 2], "item_id": [1, 2, 1], "rating": [5.0, 2.0, 2.0]})
    >>> MostPopular().train(Ratings.from_frame(frame, Scale(1, 5, 1))).item_bias.argmax().item()
    0
    """

    algorithm: ClassVar[str] = "most_popular"

    n_epochs: int = Field(0, ge=0)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Count; there is nothing to step through."""
        training = _Biases(ratings)
        counts = np.bincount(ratings.items, minlength=ratings.n_items)
        share = counts / max(1, counts.max(initial=0))
        training.item_bias = (share * ratings.scale.width / 1000).astype(np.float32)
        return training


class BiasOnly(Recommender):
    r"""Predicts μ + b_u + b_i with regularized biases.

    They minimize

        Σ_(u,i) (r_ui − μ − b_u − b_i)² + λ_bu Σ_u b_u² + λ_bi Σ_i b_i².

    An epoch puts each item's bias where this is least given the users', then each user's.

    Source: Koren, "Factorization meets the neighborhood", KDD 2008, section 2.1.

    Attributes:
        reg_user_bias: λ_bu, in ratings' worth of pull to zero; reg_item_bias: λ_bi.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1], "rating": [5.0, 3.0, 5.0]})
    >>> factors = BiasOnly().train(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> bool(factors.item_bias[0] > factors.item_bias[1])
    True
    """

    algorithm: ClassVar[str] = "bias"
    space: ClassVar[dict[str, Range]] = {
        "reg_user_bias": Range(0.5, 30, log=True),
        "reg_item_bias": Range(0.5, 30, log=True),
    }

    n_epochs: int = Field(10, ge=0)
    reg_user_bias: float = Field(5.0, gt=0)
    reg_item_bias: float = Field(2.0, gt=0)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Start from zero biases."""
        return _BiasSweeps(self, ratings)


class _BiasSweeps(_Biases):
    def __init__(self, recommender: BiasOnly, ratings: Ratings) -> None:
        super().__init__(ratings)
        self.recommender = recommender
        self.residuals = ratings.values.astype(np.float64) - self.mean

    def parts(self) -> tuple[Part, ...]:
        """A new user's bias is the damped mean of what items' biases leave."""
        precision = np.array([[self.recommender.reg_user_bias]], np.float32)
        return (Part(0, 1.0, self.mean, self.item_bias, precision, exponent=0.0),)

    def step(self) -> None:
        """Items, then users."""
        r, users, items = self.recommender, self.ratings.users, self.ratings.items
        for_items = self.residuals - self.user_bias[users]
        self.item_bias = _damped_mean(items, for_items, len(self.item_bias), r.reg_item_bias)
        for_users = self.residuals - self.item_bias[items]
        self.user_bias = _damped_mean(users, for_users, len(self.user_bias), r.reg_user_bias)
        self.epoch += 1


def _damped_mean(
    codes: NDArray[np.int32], values: NDArray[np.float64], n_rows: int, damping: float
) -> NDArray[np.float32]:
    """Mean of each row's values as if it had `damping` more of them, all zero."""
    sums = np.bincount(codes, weights=values, minlength=n_rows)
    return (sums / (np.bincount(codes, minlength=n_rows) + damping)).astype(np.float32)
