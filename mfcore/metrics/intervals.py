"""How sure a figure is: the bootstrap over users, and paired comparisons on the same draws."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Bootstrap", "Comparison", "Estimate", "Statistic", "compare", "mean", "ratio"]

Floats = NDArray[np.float64]

LEAST_USERS = 10
"""Fewer users tell nothing of how far others would be from them."""

_REPLICATES = 1000
_LEVEL = 0.05
_BLOCK_USERS, _BLOCK_COLUMNS = 4096, 256


@dataclass(frozen=True, eq=False)
class Statistic:
    """A figure that is a function of sums over users.

    Means, ratios and errors all are, so that a resampled figure needs sums alone: one matrix
    product gives every replicate of every figure.

    Attributes:
        columns: float64, (n_users, c); what each user adds to the sums. The last column counts:
            ratings, or the user. Users with 0 in it have no part in the figure.
        of: sums (…, c) → figures (…); NaN where there is none.
        unknown: why there is no figure, when there is none.
    """

    columns: Floats
    of: Callable[[Floats], Floats]
    unknown: str = "no test ratings"


def ratio(above: Floats, below: Floats, counts: Floats | None = None, *, unknown: str = "no test ratings") -> Statistic:
    """Σ `above` / Σ `below` over users; `counts` where it is not `below` that counts."""
    columns = (above, below) if counts is None else (above, below, counts)
    return Statistic(np.column_stack(columns).astype(np.float64), _quotient, unknown)


def mean(values: Floats, counted: NDArray[np.bool_], *, unknown: str = "no test ratings") -> Statistic:
    """The mean of one value per user over the users that are `counted`."""
    return ratio(np.where(counted, values, 0.0), counted.astype(np.float64), unknown=unknown)


def _quotient(sums: Floats) -> Floats:
    quotient: Floats = sums[..., 0] / sums[..., 1]
    return quotient


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and its replicates.

    Attributes:
        value: of all users; NaN where there is none.
        replicates: float64, (1000,); of users drawn with replacement, NaN where those drawn have no
            figure; empty where fewer than 10 users have a part in it.
        n: ratings, or users, that it is a figure of.
        unknown: why there is no value, or no interval; None where there are both.
    """

    value: float
    replicates: Floats
    n: int
    unknown: str | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % percentile interval, where there is one."""
        return _percentiles(self.replicates) if len(self.replicates) else None


class Bootstrap:
    r"""Users drawn with replacement, 1,000 times, the same draws for every figure of every model.

    Ratings of one user resemble each other, so users are drawn and not ratings. A replicate of a
    `Statistic` is its function of Σ_u w_u a_u, where w_u is how often the user u was drawn; all
    replicates are the product of the users' columns with the matrix of the w.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 16.

    >>> bootstrap = Bootstrap(400)
    >>> hits = np.random.default_rng(0).random(400) < 0.3
    >>> estimate = bootstrap.estimate([mean(hits, np.ones(400, bool))])[0]
    >>> low, high = estimate.interval
    >>> low < estimate.value < high, round(high - low, 2)
    (True, 0.09)
    """

    def __init__(self, n_users: int, seed: int = 0) -> None:
        """Draw. A byte for each user and replicate: 70 MB for 70,000 users."""
        random = np.random.default_rng(seed)
        self.drawn = np.empty((_REPLICATES, n_users), np.uint8)
        for times in self.drawn if n_users else ():
            times[:] = np.bincount(random.integers(n_users, size=n_users), minlength=n_users)

    def estimate(self, statistics: Iterable[Statistic]) -> list[Estimate]:
        """Each statistic's value and replicates."""
        found: list[Estimate] = []
        batch: list[Statistic] = []
        for statistic in statistics:
            if batch and sum(one.columns.shape[1] for one in batch) + statistic.columns.shape[1] > _BLOCK_COLUMNS:
                found += self._estimate(batch)
                batch = []
            batch.append(statistic)
        return found + self._estimate(batch)

    def _estimate(self, statistics: list[Statistic]) -> list[Estimate]:
        if not statistics:
            return []
        columns = np.concatenate([one.columns for one in statistics], axis=1)
        sums, replicates = columns.sum(axis=0), self._replicates(columns)
        found, first = [], 0
        for one in statistics:
            part = slice(first, first := first + one.columns.shape[1])
            n_users = np.count_nonzero(one.columns[:, -1])
            with np.errstate(divide="ignore", invalid="ignore"):
                value, spread = float(one.of(sums[part])), one.of(replicates[:, part])
            unknown = None
            if not np.isfinite(value):
                value, spread, unknown = np.nan, spread[:0], one.unknown
            elif n_users < LEAST_USERS:
                spread, unknown = spread[:0], f"fewer than {LEAST_USERS} users: no interval"
            found.append(Estimate(value, spread, int(sums[part][-1]), unknown))
        return found

    def _replicates(self, columns: Floats) -> Floats:
        """Σ_u w_u a_u, (1000, c), products in float32, their sums over blocks of users in float64."""
        from threadpoolctl import threadpool_limits

        total = np.zeros((_REPLICATES, columns.shape[1]))
        with threadpool_limits(1, "blas"):  # another number of threads would be other bits
            for first in range(0, len(columns), _BLOCK_USERS):
                part = slice(first, first + _BLOCK_USERS)
                total += self.drawn[:, part].astype(np.float32) @ columns[part].astype(np.float32)
        return total


class Comparison(BaseModel):
    """Two models' figures on the same users.

    Attributes:
        model: the one.
        other: the other.
        metric: what was compared.
        difference: the one's figure less the other's.
        low: lower end of its 95 % interval; None where there is none, as `high` and `p_value`.
        high: upper end.
        p_value: two-sided, of no difference; not corrected for the number of comparisons.
        tie: whether the interval holds 0, p > 0.05; None where there is no interval.
        reason: why there is no interval.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    other: str
    metric: str
    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    tie: bool | None = None
    reason: str | None = None

    def turned(self) -> "Comparison":
        """The same, the other way round."""
        ends = None if self.high is None else -self.high, None if self.low is None else -self.low
        names = {"model": self.other, "other": self.model, "difference": -self.difference}
        return self.model_copy(update={**names, "low": ends[0], "high": ends[1]})


def compare(model: str, one: Estimate, other: str, another: Estimate, metric: str) -> Comparison | None:
    r"""Compare two models' figures, paired: replicate by replicate, on the same draws of users.

    With differences d_1 … d_B of the replicates, the interval is that of their percentiles, and

        p = min(1, 2 (1 + min(#{d_b ≤ 0}, #{d_b ≥ 0})) / (B + 1))

    which is at most 0.05 exactly when the interval leaves 0 out. None where one has no figure.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 13 and 15.

    >>> errors, everybody = np.random.default_rng(0).random(50), np.ones(50, bool)
    >>> one, another = Bootstrap(50).estimate([mean(errors, everybody), mean(errors + 0.01, everybody)])
    >>> found = compare("a", one, "b", another, "mae")
    >>> round(found.difference, 6), found.tie, round(found.p_value, 3)
    (-0.01, False, 0.002)
    """
    if not np.isfinite([one.value, another.value]).all():
        return None
    difference = one.value - another.value
    if len(one.replicates) == 0 or len(another.replicates) == 0:
        reason = one.unknown or another.unknown
        return Comparison(model=model, other=other, metric=metric, difference=difference, reason=reason)
    differences = one.replicates - another.replicates
    differences = differences[np.isfinite(differences)]
    low, high = _percentiles(differences)
    extreme = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    p_value = min(1.0, 2 * (1 + extreme) / (len(differences) + 1))
    return Comparison(
        model=model,
        other=other,
        metric=metric,
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        tie=p_value > _LEVEL,
    )


def _percentiles(replicates: Floats) -> tuple[float, float]:
    """The k-th least and the k-th greatest, k = 0.025 (B + 1) rounded down."""
    ordered = np.sort(replicates[np.isfinite(replicates)])
    k = max(1, int(_LEVEL / 2 * (len(ordered) + 1)))
    return float(ordered[k - 1]), float(ordered[-k])
