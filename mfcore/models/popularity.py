"""How popular items are, as a part of models that order lists."""

from dataclasses import dataclass, replace

import numpy as np

from mfcore.data.ratings import Ratings
from mfcore.models.factors import Factors
from mfcore.models.scaling import mean_rating

__all__ = ["Popularity"]

_LEAST = 1e-4
"""Share of the scale's width that popularity weighs at least: enough to order what is otherwise alike."""
_DAMPING = 2.0
"""Ratings at the overall mean that an item's mean rating counts besides its own."""


@dataclass(frozen=True, eq=False)
class Popularity:
    r"""What the number of ratings n_i of an item adds to its score.

    Added is `weight` · log(1 + n_i), in rating units, to the item biases, so that factors stay one
    pair; what they were trained with is kept in their parts, and a new user is folded in as if nothing
    had been added. Models made `for_lists` get a ten-thousandth of the scale's width at least: somebody of whom
    nothing is known has a row of zeros, and their list is then the most popular items. As a rating
    they are predicted each item's mean, since scores made for lists are no ratings: (Σ r + 2 μ) / (n_i + 2).

    Attributes:
        ratings: what is counted.
        weight: of log(1 + n_i), at least 0.
        for_lists: whether scores order lists, rather than predict ratings.
    """

    ratings: Ratings
    weight: float
    for_lists: bool = False

    def added_to(self, factors: Factors) -> Factors:
        """The factors with popularity in them; the same object where there is nothing to add."""
        if self.weight == 0 and not self.for_lists:
            return factors
        r = self.ratings
        counts = np.bincount(r.items, minlength=r.n_items)
        weight = max(self.weight, _LEAST * r.scale.width)
        sums = np.bincount(r.items, weights=r.values, minlength=r.n_items)
        mean = mean_rating(r)
        means = (sums + _DAMPING * mean) / (counts + _DAMPING)
        return replace(
            factors,
            item_bias=factors.item_bias + (weight * np.log1p(counts)).astype(np.float32),
            item_means=np.append(means, mean).astype(np.float32),
        )
