"""The alternation that ALS, PMF and BPMF share: all items solved in closed form, then all users."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings, find_codes
from mfcore.models.base import Recommender, Training
from mfcore.models.factors import Factors, Link
from mfcore.models.foldin import Part
from mfcore.models.sides import Block, Side, centre, sides

__all__ = ["Alternation", "Prior", "Units", "continue_from"]


_TIGHT = np.float32(1e12)


class Prior(NamedTuple):
    """Where a side's rows [x; b] are drawn to, and how strongly: rowᵀ P row about the centre.

    Attributes:
        precision: P, float32, (k + 1, k + 1), in units of the noise's precision.
        centre: float32, (k + 1,).
    """

    precision: NDArray[np.float32]
    centre: NDArray[np.float32]

    @classmethod
    def ridge(cls, n_factors: int, reg: float, reg_bias: float) -> "Prior":
        """The same pull to zero in each dimension but the bias's."""
        diagonal = np.full(n_factors + 1, reg, np.float32)
        diagonal[-1] = reg_bias
        return cls(np.diag(diagonal), np.zeros(n_factors + 1, np.float32))

    def padded(self, size: int) -> "Prior":
        """The same prior over rows of `size`, so tight on the padding that draws of it vanish."""
        k = len(self.centre) - 1
        places = np.append(np.arange(k), size)
        precision = np.eye(size + 1, dtype=np.float32) * _TIGHT
        precision[np.ix_(places, places)] = self.precision
        centre = np.zeros(size + 1, np.float32)
        centre[places] = self.centre
        return Prior(precision, centre)


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
    def of(cls, ratings: Ratings, unit: float = 1.0) -> "Units":
        """Ratings less their mean, over `unit`."""
        return cls(centre(ratings), unit)

    @classmethod
    def logistic(cls, ratings: Ratings) -> "Units":
        """Ratings as shares of the scale; scores start from the mean's log-odds."""
        minimum, width = ratings.scale.minimum, ratings.scale.width or 1.0
        share = min(max((centre(ratings) - minimum) / width, 0.01), 0.99)
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
        self, ratings: Ratings, users: Block, items: Block, priors: tuple[Prior, Prior], exponent: float
    ) -> Factors:
        """`Factors` in the ratings' own unit.

        The priors' centres c (users) and d (items) are taken off the rows and put into the
        biases, x·y = (x − c)·(y − d) + c·(y − d) + (x − c)·d + c·d, so that a row of zeros is a user
        or item of whom nothing is known.

        Args:
            ratings: what was learned from.
            users: the users' rows.
            items: the items' rows.
            priors: of users and of items; further users are solved by the users'.
            exponent: of the number of ratings, the priors' weight.
        """
        unit, root = np.float32(self.score_unit), np.float32(np.sqrt(self.score_unit))
        prior, c, d = priors[0], priors[0].centre, priors[1].centre
        k = len(c) - 1
        user_factors, item_factors = users.factors[:, :k] - c[:k], items.factors[:, :k] - d[:k]
        global_mean = self.global_mean + float(unit) * float(c[k] + d[k] + c[:k] @ d[:k])
        # No BLAS: after it is called its threads spin for a while, in the way of the next epoch's.
        item_bias = (items.bias - d[k] + np.einsum("nk,k->n", item_factors, c[:k])) * unit
        # In the new coordinates a row's own bias is b + x·d; half of the unit goes to either
        # side's factors, all of it to the biases.
        precision, shift = prior.precision.astype(np.float64), np.append(d[:k], 0).astype(np.float64)
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
            centre=c[:k] * root if len(items.variance) else None,
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

        precision, centre = prior.padded(own.factors.shape[1])
        seed = int(self.random.integers(2**62))
        logistic = self.units.link == "logistic"
        solve_rows(
            side, self.units.offset, other, own, precision, centre,
            self.exponent, self.method, self.noise, seed, logistic,
        )  # fmt: skip

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        priors = self.user_prior, self.item_prior
        return self.units.factors(self.ratings, self.users, self.items, priors, self.exponent)


def continue_from(start: Factors, ratings: Ratings, units: Units, n_factors: int, users: Block, items: Block) -> None:
    """Take over the rows of `start` for every user and item that it knows.

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
    units.adopt(start.item_bias, start.item_factors, old_items, items)
