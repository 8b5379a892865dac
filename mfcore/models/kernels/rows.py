"""Closed-form solution of every row of one side, the other side held fixed.

A row whose ratings leave the residuals e_p (value less offset and less the other side's bias)
over the other side's rows y_p solves the normal equations

    (Σ ỹ ỹᵀ + f·P) [x; b] = Σ e ỹ + f·P·c,    ỹ = [y; 1],  f = n**exponent

where P and c are the prior's precision (in units of the noise's) and center. Where pairs without
a rating count as w of a rating of 0, the sum of squares on the left is (1 − w) Σ y yᵀ + w YᵀY
instead, YᵀY over all rows of the other side: the same for every row, and so one product per half
sweep. `systems` puts a row's equations together, `solutions` solves them.

What limits it: multiply-adds. At k = 64, on a million ratings of 6,040 users and 3,700 items and
with one thread, 56 % of a sweep adds grams, at the rate of a large matrix product; 20 % waits for
the other side's rows, although they are fetched ahead; 13 % is the chain of pivots, each of which
needs the one before; 4 % is back substitution. With ten times the ratings rows are long, and
grams are nearly all there is.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.layout import Block, Estimate, Pull, Scoring, Side
from mfcore.models.kernels.random import STRIDE, mix
from mfcore.models.kernels.solutions import descend, draw, factorize, is_sound, solve_back, solve_in_double
from mfcore.models.kernels.systems import Room, assemble, drawn_to, kept, make_room
from mfcore.models.kernels.threads import share

__all__ = ["solve_rows", "squared_error"]

Floats = NDArray[np.float32]


def solve_rows(
    side: Side, other: Block, own: Block, pull: Pull, scoring: Scoring, estimate: int, noise: float, seed: int
) -> None:
    """Solve each row of `side`, writing to `own`; chunks of rows run in parallel.

    Where blocks keep variances, they count for the other side's rows and are set for the own ones.

    Args:
        side: the ratings, row by row.
        other: the side held fixed.
        own: the side solved.
        pull: what draws a row beside its ratings.
        scoring: offset and link; behind the link a row takes one Gauss–Newton step from where it is.
        estimate: what to make of a row's system; an `Estimate`'s value, since numba takes an int faster.
        noise: standard deviation of the noise, for draws and variances.
        seed: of draws.
    """
    drawn = drawn_to(pull.precision, pull.center)
    noise /= math.sqrt(kept(pull.missing_weight))
    share(len(side.bounds) - 1, _solve_chunks, side, other, own, pull, drawn, scoring, estimate, noise, seed)


@njit(cache=True, nogil=True)
def _solve_chunks(
    first: int, last: int, side: Side, other: Block, own: Block, pull: Pull, drawn: Floats, scoring: Scoring,
    estimate: int, noise: float, seed: int,
) -> None:  # fmt: skip
    """Solve the rows of the chunks from `first` to `last` with one room.

    What runs per row is inlined: a call counts the references to each array it takes, which cost a short row 5 to
    10 %.
    """
    room = make_room(own.factors.shape[1])
    for row in range(side.bounds[first], side.bounds[last]):
        is_rated = side.starts[row] < side.starts[row + 1]
        if is_rated or (pull.exponent == 0 and pull.missing_weight == 0):
            _solve_row(room, row, side, other, own, pull, drawn, scoring, estimate, noise, seed)
        else:
            _set_center(row, own, pull)


@njit(cache=True, inline="always")
def _set_center(row: int, own: Block, pull: Pull) -> None:
    """Leave a row without ratings where the prior draws it."""
    size = own.factors.shape[1]
    for c in range(size):
        own.factors[row, c] = pull.center[c]
    own.bias[row] = pull.center[size]


@njit(cache=True, inline="always")
def _solve_row(
    room: Room, row: int, side: Side, other: Block, own: Block, pull: Pull, drawn: Floats, scoring: Scoring,
    estimate: int, noise: float, seed: int,
) -> None:  # fmt: skip
    """Put one row's system together, and make of it what `estimate` says."""
    x = own.factors[row]
    total, pivot = assemble(room, row, side, other, own, pull, drawn, scoring)
    if estimate == Estimate.NONNEGATIVE:
        own.bias[row] = descend(room, total, np.float64(pivot), x, own.bias[row])
        return
    has_variance = len(own.variance) > 0
    if has_variance:
        for r in range(len(x)):
            own.variance[row, r] = noise * noise / room.diagonal[r]
    total, pivot = factorize(room, total, pivot)
    bias = np.float32(total / pivot)
    if estimate == Estimate.DRAW:
        bias = draw(room, bias, pivot, noise, mix(np.uint64(seed) + np.uint64(row) * STRIDE))
    elif not scoring.logistic and not has_variance and not is_sound(room):
        own.bias[row] = solve_in_double(row, side, other, pull, scoring, x)
        return
    own.bias[row] = bias
    solve_back(room.system, bias, x)


def squared_error(side: Side, other: Block, own: Block, scoring: Scoring, missing_weight: float) -> float:
    """Sum of squared errors over all ratings of `side`, less `missing_weight` times their squared scores.

    In the unit the rows are solved in. Where blocks keep variances, the sum expected under them.
    """
    totals = np.empty(len(side.bounds) - 1)
    share(len(totals), _add_errors, side, other, own, scoring, missing_weight, totals)
    return float(totals.sum())


@njit(cache=True, nogil=True)
def _add_errors(
    first: int, last: int, side: Side, other: Block, own: Block, scoring: Scoring, missing_weight: float,
    totals: NDArray[np.float64],
) -> None:  # fmt: skip
    """Set the totals of the chunks from `first` to `last`."""
    is_uncertain = len(own.variance) > 0 and len(other.variance) > 0
    for chunk in range(first, last):
        subtotal = 0.0
        for row in range(side.bounds[chunk], side.bounds[chunk + 1]):
            begin, end = side.starts[row], side.starts[row + 1]
            x, bias, columns = own.factors[row], own.bias[row], side.columns[begin:end]
            subtotal += _row_error(x, bias, columns, side.values[begin:end], other, scoring, missing_weight)
            if is_uncertain:
                subtotal += _row_variance(x, bias, own.variance[row], columns, other, scoring, missing_weight)
        totals[chunk] = subtotal


@njit(cache=True, fastmath={"reassoc", "contract"})
def _row_error(
    x: Floats, bias: np.float32, columns: NDArray[np.int32], values: Floats, other: Block, scoring: Scoring,
    missing_weight: float,
) -> float:  # fmt: skip
    """A row's part of `squared_error`: a function of its own, as Numba makes a loop of it that is twice as fast."""
    total = 0.0
    for n in range(len(columns)):
        score = _score(x, bias, other, columns[n])
        error = values[n] - _fit(score, scoring)
        total += error * error - missing_weight * score * score
    return total


@njit(cache=True, fastmath={"reassoc", "contract"})
def _row_variance(
    x: Floats, bias: np.float32, variances: Floats, columns: NDArray[np.int32], other: Block, scoring: Scoring,
    missing_weight: float,
) -> float:  # fmt: skip
    """What a row's squared errors are more by, where its factors and the other side's are uncertain."""
    total = 0.0
    for n in range(len(columns)):
        slope = 1.0
        if scoring.logistic:
            fit = _fit(_score(x, bias, other, columns[n]), scoring)
            slope = fit * (1 - fit)
        y, y_variances = other.factors[columns[n]], other.variance[columns[n]]
        variance = np.float32(0)
        for c in range(len(x)):
            variance += x[c] * x[c] * y_variances[c] + (y[c] * y[c] + y_variances[c]) * variances[c]
        total += float((slope * slope - missing_weight) * variance)
    return total


@njit(cache=True, inline="always")
def _score(x: Floats, bias: np.float32, other: Block, column: int) -> np.float32:
    """The score of a row for one of the other side, but for the offset."""
    y = other.factors[column]
    score: np.float32 = bias + other.bias[column]
    for c in range(len(x)):
        score += x[c] * y[c]
    return score


@njit(cache=True, inline="always")
def _fit(score: np.float32, scoring: Scoring) -> float:
    """A score in the unit of values."""
    value = scoring.offset + float(score)
    return 1 / (1 + math.exp(-value)) if scoring.logistic else value
