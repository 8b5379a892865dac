"""How sure a figure is: the bootstrap over users, and paired comparisons on the same draws."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.machine import one_blas_thread

__all__ = ["Bootstrap", "Comparison", "Estimate", "Influence", "Statistic", "compare", "mean", "ratio"]

Floats = NDArray[np.float64]

LEAST_USERS = 20
"""Fewer users tell too little of how far others would be from them."""
LEAST_DIFFERING = 5
"""So do users who are nearly all alike, as where hardly anybody's list holds a hit."""
MANY_USERS = 500
"""From so many users on, percentiles hold the truth as often as they say."""
_FEW_USERS, _FEW_LEVEL = 100, 0.02
"""Below so many, studentized ends of this level: those of 0.05 hold lognormal truths in 0.91 of cases."""

_REPLICATES = 1000
_LEVEL = 0.05
_STEP = 1e-6
_ROUNDING = 1e-9
_LEAST_SPREAD = 1e-3
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
class Influence:
    """What single users do to a figure, of those with a part in it.

    Attributes:
        own: float64, (n_users,); what each adds to the first of the sums.
        change: float64, (n_users,); by how much the figure would change, were the user there once more.
        share: float64, (n_users,); of what is counted.
        drawn: float32, (1000, n_users); how often each was drawn for each replicate.
    """

    own: Floats
    change: Floats
    share: Floats
    drawn: NDArray[np.float32]

    def less(self, other: "Influence") -> "Influence":
        """The same users' on the difference of two figures."""
        return replace(self, own=self.own - other.own, change=self.change - other.change)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and its replicates.

    Attributes:
        value: of all users; NaN where there is none.
        replicates: float64, (1000,); of users drawn with replacement, NaN where those drawn have no
            figure; empty where fewer than 20 users have a part in it, or fewer than 5 differ from the rest.
        n: ratings, or users, that it is a figure of.
        unknown: why there is no value, or no interval; None where there are both.
        users: what single users do to it; None where they are many.
    """

    value: float
    replicates: Floats
    n: int
    unknown: str | None
    users: Influence | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, where there is one: studentized, or of percentiles where users are many."""
        if not len(self.replicates):
            return None
        low, high, _ = _tested(self.value, self.replicates, self.users)
        return low, high


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
        self._of_few: dict[bytes, NDArray[np.float32]] = {}

    def estimate(self, statistics: Iterable[Statistic]) -> list[Estimate]:
        """Each statistic's value and replicates."""
        estimates: list[Estimate] = []
        batch: list[Statistic] = []
        for statistic in statistics:
            if (
                batch
                and sum(waiting.columns.shape[1] for waiting in batch) + statistic.columns.shape[1] > _BLOCK_COLUMNS
            ):
                estimates += self._estimate(batch)
                batch = []
            batch.append(statistic)
        return estimates + self._estimate(batch)

    def _estimate(self, statistics: list[Statistic]) -> list[Estimate]:
        if not statistics:
            return []
        columns = np.concatenate([statistic.columns for statistic in statistics], axis=1)
        sums, replicates = columns.sum(axis=0), self._replicates(columns)
        estimates, first = [], 0
        for statistic in statistics:
            part = slice(first, first := first + statistic.columns.shape[1])
            n_users = np.count_nonzero(statistic.columns[:, -1])
            with np.errstate(divide="ignore", invalid="ignore"):
                value, spread = float(statistic.of(sums[part])), statistic.of(replicates[:, part])
            own = statistic.columns[statistic.columns[:, -1] != 0]
            unknown, users = None, None
            if not np.isfinite(value):
                value, spread, unknown = np.nan, spread[:0], statistic.unknown
            elif n_users < LEAST_USERS:
                spread, unknown = spread[:0], f"fewer than {LEAST_USERS} users: no interval"
            elif _n_differing(own[:, 0]) < LEAST_DIFFERING:
                spread, unknown = spread[:0], f"fewer than {LEAST_DIFFERING} users differ from the rest: no interval"
            if 0 < n_users < MANY_USERS:
                change, share = own @ _gradient(statistic.of, sums[part]), own[:, -1] / sums[part][-1]
                users = Influence(own[:, 0], change, share, self._drawn_of(statistic.columns[:, -1] != 0))
            estimates.append(Estimate(value, spread, int(sums[part][-1]), unknown, users))
        return estimates

    def _drawn_of(self, these: NDArray[np.bool_]) -> NDArray[np.float32]:
        """How often some few users were drawn; many figures are of the same ones."""
        key = these.tobytes()
        if key not in self._of_few:
            self._of_few[key] = self.drawn[:, these].astype(np.float32)
        return self._of_few[key]

    def _replicates(self, columns: Floats) -> Floats:
        """Σ_u w_u a_u, (1000, c), products in float32, their sums over blocks of users in float64."""
        total = np.zeros((_REPLICATES, columns.shape[1]))
        with one_blas_thread():
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


def compare(model: str, first: Estimate, other: str, another: Estimate, metric: str) -> Comparison | None:
    r"""Compare two models' figures, paired: replicate by replicate, on the same draws of users.

    With the difference d, its standard error se by the influence of n users, the differences d_1 … d_B of
    the replicates, and t_b = (d_b − d) / se_b, where se_b is the standard error among the users drawn, the
    interval is the hull of Student's and the studentized bootstrap's,

        d ± t₍₀.₉₇₅,ₙ₋₁₎ √(n / (n − 1)) se   and   d − t₍₀.₉₇₅₎ se to d − t₍₀.₀₂₅₎ se

    and p the greater of Student's and min(1, 2 (1 + min(#{t_b ≤ d / se}, #{t_b ≥ d / se})) / (B + 1)), so that
    it is at most 0.05 exactly when the interval leaves 0 out. The first holds truths about heavy tails on both
    sides, the second about a tail on one. Below 100 users the second has the level 0.02 instead, its p 2.5 times
    as large: then of 20 users lognormal values with σ = 1.2 are held in 0.95 of cases. Where users are many,
    percentiles of the d_b are the interval. None where one of the two has no figure.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 12, 13 and 15.

    >>> errors, everybody = np.random.default_rng(0).random(50), np.ones(50, bool)
    >>> one, another = Bootstrap(50).estimate([mean(errors, everybody), mean(errors + 0.01, everybody)])
    >>> found = compare("a", one, "b", another, "mae")
    >>> round(found.difference, 6), found.tie, round(found.p_value, 3)
    (-0.01, False, 0.005)
    """
    if not np.isfinite([first.value, another.value]).all():
        return None
    difference = first.value - another.value
    if len(first.replicates) == 0 or len(another.replicates) == 0:
        reason = first.unknown or another.unknown
        return Comparison(model=model, other=other, metric=metric, difference=difference, reason=reason)
    users = first.users.less(another.users) if first.users is not None and another.users is not None else None
    if users is not None and 0 < _n_differing(users.own) < LEAST_DIFFERING:
        reason = f"fewer than {LEAST_DIFFERING} users tell the two apart: no interval"
        return Comparison(model=model, other=other, metric=metric, difference=difference, reason=reason)
    low, high, p_value = _tested(difference, first.replicates - another.replicates, users)
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


def _tested(value: float, replicates: Floats, users: Influence | None) -> tuple[float, float, float]:
    """The ends of a figure's 95 % interval, and the p-value of its being 0."""
    from scipy.special import stdtr, stdtrit

    error = 0.0 if users is None else math.sqrt(np.square(users.change).sum())
    known = np.isfinite(replicates)
    if users is None or error == 0:
        return *_ends(replicates[known], _LEVEL), _p_value(replicates[known], 0)
    change, share = users.change / error, users.share
    sums = np.column_stack([change**2, change * share, share**2, share]).astype(np.float32)
    with one_blas_thread():
        squares, products, shares_squared, shares = (users.drawn @ sums).astype(np.float64).T
    away = np.where(known, replicates - value, 0) / error
    # Influence among those drawn is about their figure, and greater where less is counted of them.
    spread = np.sqrt(np.maximum(squares - 2 * away * products + away**2 * shares_squared, 0))
    spread /= np.where(shares > 0, shares, np.inf)
    known &= spread > _LEAST_SPREAD  # else nearly the same user all over
    ratios = away[known] / spread[known]
    n = len(change)
    level = _FEW_LEVEL if n < _FEW_USERS else _LEVEL
    low, high = _ends(ratios, level)
    students = math.sqrt(n / (n - 1))
    width = students * float(stdtrit(n - 1, 1 - _LEVEL / 2))
    p_value = min(1.0, _LEVEL / level * _p_value(ratios, value / error))
    p_students = 2 * float(stdtr(n - 1, -abs(value) / (students * error)))
    ends = value - max(high, width) * error, value - min(low, -width) * error
    return *ends, max(p_value, p_students)


def _n_differing(values: Floats) -> int:
    """How many differ from the rest, by more than rounding, where the rest are more than half."""
    usual = np.partition(values, len(values) // 2)[len(values) // 2]
    return int(np.count_nonzero(np.abs(values - usual) > _ROUNDING * np.abs(values).max()))


def _gradient(of: Callable[[Floats], Floats], sums: Floats) -> Floats:
    """The derivative of a figure by each of its sums, by differences."""
    steps = np.diag(_STEP * np.maximum(np.abs(sums), _STEP))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes: Floats = (of(sums + steps) - of(sums - steps)) / (2 * np.diag(steps))
    return np.nan_to_num(slopes)


def _p_value(replicates: Floats, value: float) -> float:
    """Two-sided: how seldom replicates are as far out as `value`."""
    extreme = min(np.count_nonzero(replicates <= value), np.count_nonzero(replicates >= value))
    return min(1.0, 2 * (1 + extreme) / (len(replicates) + 1))


def _ends(replicates: Floats, level: float) -> tuple[float, float]:
    """The k-th least and the k-th greatest, k = level / 2 (B + 1) rounded down."""
    ordered = np.sort(replicates)
    k = max(1, int(level / 2 * (len(ordered) + 1)))
    return float(ordered[k - 1]), float(ordered[-k])
