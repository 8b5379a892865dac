"""How sure a figure is: the bootstrap over users, and paired comparisons on the same draws."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Bootstrap", "Comparison", "Estimate", "Statistic", "compare", "mean", "ratio"]

Floats = NDArray[np.float64]

LEAST_USERS = 20
"""Fewer users tell too little of how far others would be from them."""
MANY_USERS = 500
"""From so many users on, percentiles hold the truth as often as they say."""

_REPLICATES = 1000
_LEVEL = 0.05
_STEP = 1e-6
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
class Estimate:
    """A figure and its replicates.

    Attributes:
        value: of all users; NaN where there is none.
        replicates: float64, (1000,); of users drawn with replacement, NaN where those drawn have no
            figure; empty where fewer than 20 users have a part in it.
        n: ratings, or users, that it is a figure of.
        unknown: why there is no value, or no interval; None where there are both.
        users: float64, (n_users, 2); by how much the figure would change, were the user there once more,
            and the user's share in what is counted; of those with a part in it; None where they are many.
        who: which of the columns of `drawn` they are; None likewise.
        drawn: uint8; how often each user was drawn for each replicate; None likewise.
    """

    value: float
    replicates: Floats
    n: int
    unknown: str | None
    users: Floats | None = None
    who: NDArray[np.int64] | None = None
    drawn: NDArray[np.uint8] | None = None

    def of_those(self) -> NDArray[np.uint8] | None:
        """How often those with a part in it were drawn; None where they are many."""
        return None if self.drawn is None or self.who is None else self.drawn[:, self.who]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval, where there is one: studentized, or of percentiles where users are many."""
        if not len(self.replicates):
            return None
        low, high, _ = _tested(self.value, self.replicates, self.users, self.of_those())
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
            unknown, users, who, drawn = None, None, None, None
            if 0 < n_users < MANY_USERS:
                who = np.flatnonzero(one.columns[:, -1])
                own, drawn = one.columns[who], self.drawn
                users = np.column_stack([own @ _gradient(one.of, sums[part]), own[:, -1] / sums[part][-1]])
            if not np.isfinite(value):
                value, spread, unknown = np.nan, spread[:0], one.unknown
            elif n_users < LEAST_USERS:
                spread, unknown = spread[:0], f"fewer than {LEAST_USERS} users: no interval"
            found.append(Estimate(value, spread, int(sums[part][-1]), unknown, users, who, drawn))
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

    With the difference d, those of the replicates d_1 … d_B, and t_b = (d_b − d) / se_b, where se is the
    standard error by the users' influence and se_b that among the users drawn, the interval goes from
    d − t₍₀.₉₇₅₎ se to d − t₍₀.₀₂₅₎ se, and

        p = min(1, 2 (1 + min(#{t_b ≤ d / se}, #{t_b ≥ d / se})) / (B + 1))

    which is at most 0.05 exactly when the interval leaves 0 out. Of few users this holds the truth more
    often than percentiles of the d_b do, which are taken where users are many. None where one has no figure.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 12, 13 and 15.

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
    users = None
    if one.users is not None and another.users is not None:
        users = np.column_stack([one.users[:, 0] - another.users[:, 0], one.users[:, 1]])
    low, high, p_value = _tested(difference, one.replicates - another.replicates, users, one.of_those())
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


def _tested(
    value: float, replicates: Floats, users: Floats | None, drawn: NDArray[np.uint8] | None
) -> tuple[float, float, float]:
    """The ends of a figure's 95 % interval, and the p-value of its being 0."""
    error = 0.0 if users is None else float(np.sqrt((users[:, 0] ** 2).sum()))
    known = np.isfinite(replicates)
    if users is None or drawn is None or error == 0:
        low, high = _ends(replicates[known])
        return low, high, _p_value(replicates[known], 0)
    influence, share = users.T
    squares, products, shares_squared, shares = (
        drawn @ np.column_stack([influence**2, influence * share, share**2, share])
    ).T
    away = np.where(known, replicates - value, 0)
    # Influence among those drawn is about their figure, and greater where less is counted of them.
    spread = np.sqrt(np.maximum(squares - 2 * away * products + away**2 * shares_squared, 0))
    spread /= np.where(shares > 0, shares, np.inf)
    known &= spread > _LEAST_SPREAD * error  # else nearly the same user all over
    ratios = away[known] / spread[known]
    low, high = _ends(ratios)
    return value - high * error, value - low * error, _p_value(ratios, value / error)


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


def _ends(replicates: Floats) -> tuple[float, float]:
    """The k-th least and the k-th greatest, k = 0.025 (B + 1) rounded down."""
    ordered = np.sort(replicates)
    k = max(1, int(_LEVEL / 2 * (len(ordered) + 1)))
    return float(ordered[k - 1]), float(ordered[-k])
