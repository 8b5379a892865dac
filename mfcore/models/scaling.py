"""The unit that trainers work in, and the way from there to `Factors`."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings, find_codes
from mfcore.models.factors import Factors, Link
from mfcore.models.foldin import Part
from mfcore.models.kernels.layout import Block
from mfcore.models.prior import Prior

__all__ = ["NOTHING", "Missing", "Units", "continue_from", "mean_rating", "standard_deviation", "standard_unit"]


class Missing(NamedTuple):
    """What a pair without a rating counts as: a rating of `rating` with the weight `weight`."""

    weight: float
    rating: float


NOTHING = Missing(0.0, 0.0)
"""Only ratings count."""


class Units(NamedTuple):
    """What the trainer's numbers mean: rating = origin + unit · value, score offset included.

    Attributes:
        origin: the rating that is 0.
        unit: how much of a rating is 1.
        offset: added to every score, in the trainer's unit.
        link: as in `Factors`; with "logistic", values lie in [0, 1].
    """

    origin: float
    unit: float
    offset: float = 0.0
    link: Link = "identity"

    def values(self, ratings: Ratings) -> NDArray[np.float32]:
        """The ratings in the trainer's unit."""
        return (ratings.values - np.float32(self.origin)) * np.float32(1 / self.unit)

    @classmethod
    def of(cls, ratings: Ratings, unit: float = 1.0, missing: Missing = NOTHING) -> "Units":
        """Ratings less their mean, or less the rating that pairs without one count as, over `unit`."""
        return cls(missing.rating if missing.weight else mean_rating(ratings), unit)

    @classmethod
    def logistic(cls, ratings: Ratings) -> "Units":
        """Ratings as shares of the scale; scores start from the mean's log-odds."""
        minimum, width = ratings.scale.minimum, ratings.scale.width or 1.0
        share = min(max((mean_rating(ratings) - minimum) / width, 0.01), 0.99)
        return cls(minimum, width, float(np.log(share / (1 - share))), "logistic")

    @property
    def score_unit(self) -> float:
        """How much of a score is 1 in the trainer's numbers: scores behind a link have no other unit."""
        return self.unit if self.link == "identity" else 1.0

    @property
    def global_mean(self) -> float:
        """μ of the factors."""
        return self.origin + self.unit * self.offset if self.link == "identity" else self.offset

    def factors(
        self,
        ratings: Ratings,
        users: Block,
        items: Block,
        priors: tuple[Prior, Prior],
        exponent: float,
        gram: NDArray[np.float32] | None = None,
        missing_weight: float = 0.0,
        nonnegative: bool = False,
    ) -> Factors:
        """`Factors` in the ratings' own unit.

        The priors' centers c (users) and d (items) are taken off the rows and put into the
        biases, x·y = (x − c)·(y − d) + c·(y − d) + (x − c)·d + c·d, so that a row of zeros is a user
        or item of whom nothing is known.

        Args:
            ratings: what was learned from.
            users: the users' rows.
            items: the items' rows.
            priors: of users and of items; further users are solved by the users'.
            exponent: of the number of ratings, the priors' weight.
            gram: what pairs without a rating add to a user's system, (k, k); None where they don't count.
            missing_weight: what such a pair counts for.
            nonnegative: whether factors are kept from going below zero.
        """
        unit, root = np.float32(self.score_unit), np.float32(np.sqrt(self.score_unit))
        prior, c, d = priors[0], priors[0].center, priors[1].center
        k = len(c) - 1
        user_factors, item_factors = users.factors[:, :k] - c[:k], items.factors[:, :k] - d[:k]
        global_mean = self.global_mean + float(unit) * float(c[k] + d[k] + c[:k] @ d[:k])
        # No BLAS: after it is called its threads spin for a while, in the way of the next epoch's.
        item_bias = (items.bias - d[k] + np.einsum("nk,k->n", item_factors, c[:k])) * unit
        # In the new coordinates a row's own bias is b + x·d; half of the unit goes to either
        # side's factors, all of it to the biases.
        precision, shift = prior.precision.astype(np.float64), np.append(d[:k], 0).astype(np.float64)
        if shift.any():
            across = np.outer(shift, precision[k])
            precision += precision[k, k] * np.outer(shift, shift) - across - across.T
        scale = self.score_unit / np.append(np.full(k, root), unit)
        part = Part(
            columns=k,
            weight=1.0,
            global_mean=global_mean,
            item_bias=item_bias,
            precision=(precision * np.outer(scale, scale)).astype(np.float32),
            exponent=exponent,
            item_variance=items.variance[:, :k] * unit if len(items.variance) else None,
            center=c[:k] * root if len(items.variance) else None,
            missing_weight=missing_weight,
            gram=None if gram is None else gram * unit,
            nonnegative=nonnegative,
        )
        return Factors(
            global_mean=global_mean,
            user_bias=(users.bias - c[k] + user_factors @ d[:k]) * unit,
            item_bias=item_bias,
            user_factors=user_factors * root,
            item_factors=item_factors * root,
            user_ids=ratings.user_ids,
            item_ids=ratings.item_ids,
            scale=ratings.scale,
            link=self.link,
            parts=(part,),
        )

    def adopt(
        self, bias: NDArray[np.float32], factors: NDArray[np.float32], old: NDArray[np.int32], start: Block
    ) -> None:
        """Overwrite rows of `start` with those of earlier factors, at codes `old` (−1: a new row, left alone)."""
        known = old >= 0
        start.bias[known] = bias[old[known]] / np.float32(self.score_unit)
        k = factors.shape[1]
        start.factors[known, :k] = factors[old[known]] / np.float32(np.sqrt(self.score_unit))


def continue_from(start: Factors, ratings: Ratings, units: Units, n_factors: int, users: Block, items: Block) -> None:
    """Take over the rows of `start` for every user and item that it knows.

    Their scores stay what they are: where the mean rating is another one now, the items' biases make up for it.

    Raises:
        ValueError: `start` has another number of factors or another link.
    """
    if start.n_factors != n_factors or start.link != units.link:
        raise ValueError(
            f"cannot continue: the factors have n_factors {start.n_factors} and link {start.link}, "
            f"the recipe {n_factors} and {units.link}"
        )
    old_users, old_items = find_codes(start.user_ids, ratings.user_ids), find_codes(start.item_ids, ratings.item_ids)
    units.adopt(start.user_bias, start.user_factors, old_users, users)
    # A part's are without what popularity adds.
    learned = start.parts[0].item_bias if len(start.parts) == 1 else start.item_bias
    units.adopt(learned + np.float32(start.global_mean - units.global_mean), start.item_factors, old_items, items)


def mean_rating(ratings: Ratings) -> float:
    """The mean rating; the middle of the scale where there are none."""
    if len(ratings) == 0:
        return ratings.scale.minimum + ratings.scale.width / 2
    return float(np.mean(ratings.values, dtype=np.float64))


def standard_deviation(ratings: Ratings) -> float:
    """The standard deviation of the ratings; 1 where they don't differ."""
    differ = len(ratings) > 0 and ratings.values.min() < ratings.values.max()
    return float(np.std(ratings.values, dtype=np.float64)) if differ else 1.0


def standard_unit(ratings: Ratings) -> tuple[float, float]:
    """A power of 4 near the standard deviation of the ratings, and how many of it the deviation is, ½ to 2.

    Values and factors (in units of its square root) are scaled by a power of 2 and back without
    rounding, so that training can go on with the very bits it stopped at.
    """
    deviation = standard_deviation(ratings)
    unit = 4.0 ** round(math.log(deviation, 4))
    return unit, deviation / unit
