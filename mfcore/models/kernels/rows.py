"""Closed-form solution of every row of one side, the other side held fixed.

A row whose ratings leave the residuals e_p (value less offset and less the other side's bias)
over the other side's rows y_p solves the normal equations

    (Σ ỹ ỹᵀ + f·P) [x; b] = Σ e ỹ + f·P·c,    ỹ = [y; 1],  f = n**exponent

where P and c are the prior's precision (in units of the noise's) and center. Where pairs without
a rating count as w of a rating of 0, the sum of squares on the left is (1 − w) Σ y yᵀ + w YᵀY
instead, YᵀY over all rows of the other side: the same for every row, and so one product per half
sweep. The leading k × k block is factored as UᵀU with the bias's column and the right-hand side
carried along, so that forward substitution costs nothing extra; the bias is the last pivot.

What limits it: multiply-adds. At k = 64, on a million ratings of 6,040 users and 3,700 items and
with one thread, 56 % of a sweep adds grams, at the rate of a large matrix product; 20 % waits for
the other side's rows, although they are fetched ahead; 13 % is the chain of pivots, each of which
needs the one before; 4 % is back substitution. With ten times the ratings rows are long, and
grams are nearly all there is.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from mfcore.models.kernels.layout import Block, Pull, Scoring, Side
from mfcore.models.kernels.random import STRIDE, mix, normal_pair
from mfcore.models.kernels.tiles import (
    LANES,
    ROWS,
    VECTORS,
    make_dots,
    make_pivots,
    make_substitution,
    make_tile,
    prefetch,
)

__all__ = ["DRAW", "MODE", "NONNEGATIVE", "padded", "solve_rows", "squared_error"]

Floats = NDArray[np.float32]

MODE, DRAW, NONNEGATIVE = range(3)
"""What to make of a row's system: its solution; a draw from the Gaussian around it; the solution
with factors that are not negative."""

_PANEL = 64
"""Ratings gathered at a time: 16 KB at k = 64, so that a panel stays in the first-level cache."""

_DESCENTS = 200
"""Passes of coordinate descent over a non-negative row at most; it starts from the row of the epoch before."""
_STILL = 1e-6
"""Moves of this share of the row's largest factor end the descent."""
_LOST = 1e-5
"""Share of a diagonal element below which rounding may have decided its pivot: float32 keeps seven digits."""

_add_3, _add_2, _add_1 = (make_tile(ROWS, vectors) for vectors in (VECTORS, 2, 1))
_subtract_3, _subtract_2, _subtract_1 = (make_tile(ROWS, vectors, subtract=True) for vectors in (VECTORS, 2, 1))
_add_half, _subtract_half = (make_tile(ROWS, 1, subtract, LANES // 2) for subtract in (False, True))
_add_sums = make_tile(2, 1)
_pivots, _substitute, _dots = make_pivots(ROWS), make_substitution(ROWS), make_dots(ROWS)


def padded(n_factors: int) -> int:
    """Row length with which the kernels work."""
    return -(-n_factors // LANES) * LANES


@njit(cache=True)
def _aligned(n: int) -> Floats:
    """Room for `n` floats that starts on a cache line."""
    room = np.empty(n + 16, np.float32)
    skip = (-(room.ctypes.data >> 2)) & 15
    return room[skip : skip + n]


@njit(cache=True)
def _add_gram(system: Floats, width: int, panel: Floats, n: int, size: int) -> None:
    """Add the upper half of panelᵀ·panel (n rows of `size`) to `system` (rows of `width`)."""
    for row in range(0, size, ROWS):
        column = row
        if column % LANES:
            _add_half(system, row * width + column, width, panel, row, size, panel, column, size, n)
            column += ROWS
        while column < size:
            left = (size - column) // LANES
            at = row * width + column
            if left >= VECTORS and left != 4:
                _add_3(system, at, width, panel, row, size, panel, column, size, n)
                column += VECTORS * LANES
            elif left >= 2:
                _add_2(system, at, width, panel, row, size, panel, column, size, n)
                column += 2 * LANES
            else:
                _add_1(system, at, width, panel, row, size, panel, column, size, n)
                column += LANES


@njit(cache=True, fastmath={"contract"})
def _factorize(system: Floats, width: int, size: int) -> None:
    """Turn the upper half of `system` into U, and the columns right of it into U⁻ᵀ times them.

    The diagonal holds the reciprocals of U's.
    """
    upper, reciprocal = np.empty(ROWS * ROWS, np.float32), np.empty(ROWS, np.float32)
    for first in range(0, size, ROWS):
        column = first
        if column % LANES:
            at = first * width + column
            _subtract_half(system, at, width, system, first, width, system, column, width, first)
            column += ROWS
        while column < width:
            left = (width - column) // LANES
            at = first * width + column
            if left >= VECTORS and left != 4:
                _subtract_3(system, at, width, system, first, width, system, column, width, first)
                column += VECTORS * LANES
            elif left >= 2:
                _subtract_2(system, at, width, system, first, width, system, column, width, first)
                column += 2 * LANES
            else:
                _subtract_1(system, at, width, system, first, width, system, column, width, first)
                column += LANES
        _pivots(system, first * width + first, width, upper, 0, reciprocal, 0)
        for column in range(first // LANES * LANES, width, LANES):
            _substitute(system, first * width + column, width, upper, 0, reciprocal, 0)
        for r in range(ROWS):
            system[(first + r) * width + first + r] = reciprocal[r]


@njit(cache=True, fastmath=True)
def _solve_back(system: Floats, width: int, size: int, bias: np.float32, x: Floats) -> None:
    """Set x to U⁻¹ (w − bias · v), w and v the two columns right of U."""
    rest = np.empty(ROWS, np.float32)
    for first in range(size - ROWS, -1, -ROWS):
        at = first * width + first
        _dots(rest, 0, system, at + ROWS, width, x, first + ROWS, size - first - ROWS)
        for r in range(ROWS - 1, -1, -1):
            line = system[(first + r) * width : (first + r + 1) * width]
            solved = (line[size] - bias * line[size + 1] - rest[r]) * line[first + r]
            x[first + r] = solved
            for above in range(r):
                rest[above] += system[at + above * width + r] * solved


@njit(cache=True, fastmath={"contract"})
def _descend(
    system: Floats, width: int, size: int, total: float, pivot: float, x: Floats, bias: np.float32
) -> np.float32:
    """Lower the row's objective by coordinates, factors kept from going below zero; the new bias.

    The unfactored `system` holds Σ e y and Σ y in the columns right of it.
    """
    for row in range(size):
        for c in range(row + 1, size):
            system[c * width + row] = system[row * width + c]
    slope = np.empty(size, np.float32)
    for row in range(size):
        slope[row] = bias * system[row * width + size + 1] - system[row * width + size]
        for c in range(size):
            slope[row] += system[row * width + c] * x[c]
    for _ in range(_DESCENTS):
        largest, farthest = np.float32(0), np.float32(0)
        for row in range(size):
            line = system[row * width : row * width + size]
            after = max(np.float32(0), x[row] - slope[row] / line[row])
            move = after - x[row]
            largest, farthest = max(largest, after), max(farthest, abs(move))
            if move != 0:
                x[row] = after
                for c in range(size):
                    slope[c] += move * line[c]
        rest = total
        for row in range(size):
            rest -= system[row * width + size + 1] * x[row]
        move = np.float32(rest / pivot - bias)
        bias = np.float32(bias + move)
        for row in range(size):
            slope[row] += move * system[row * width + size + 1]
        if max(farthest, abs(move)) <= _STILL * max(largest, abs(bias)):
            break
    return bias


@njit(cache=True)
def _set_prior(system: Floats, width: int, sums: Floats, precision: Floats, drawn: Floats, weight: np.float32) -> None:
    """Start a row's system and right-hand sides with the prior's; `drawn` is P·c."""
    size = len(drawn) - 1
    for r in range(size):
        line, prior = system[r * width : r * width + size], precision[r]
        for c in range(size):
            line[c] = weight * prior[c]
        sums[r] = weight * drawn[r]
        sums[size + r] = weight * precision[r, size]


@njit(cache=True)
def _add_missing(system: Floats, width: int, gram: Floats, per_keep: np.float32) -> None:
    """Add w YᵀY / (1 − w)."""
    size = gram.shape[1]
    for r in range(size):
        line, other = system[r * width : r * width + size], gram[r]
        for c in range(size):
            line[c] += per_keep * other[c]


@njit(cache=True)
def _gather(
    panel: Floats, pairs: Floats, first: int, n: int, columns: NDArray[np.int32], values: Floats,
    factors: Floats, biases: Floats, offset: float, scale: np.float32, total: float,
) -> float:  # fmt: skip
    """Copy the other side's rows of n ratings into `panel`, and their errors into `pairs`; total plus the errors.

    Errors are multiplied by `scale`.
    """
    size = factors.shape[1]
    for p in range(n):
        column = columns[first + p]
        ahead = np.int64(columns[min(first + p + _PANEL, len(columns) - 1)]) * size
        for c in range(0, size, 16):
            prefetch(factors, ahead + c)
        y = factors[column]
        rating = panel[p * size : (p + 1) * size]
        for c in range(size):  # a loop: numba copies slices one float at a time
            rating[c] = y[c]
        error = np.float32(values[first + p] - offset - biases[column]) * scale
        pairs[2 * p], pairs[2 * p + 1] = error, 1
        total += float(error)
    return total


@njit(cache=True)
def _linearize(
    panel: Floats, pairs: Floats, n: int, first: int, columns: NDArray[np.int32], values: Floats,
    biases: Floats, offset: float, x: Floats, bias: np.float32, total: float, pivot: float,
) -> tuple[float, float]:  # fmt: skip
    """Make what `_gather` left a Gauss–Newton step behind the link; total plus slope · error, pivot plus slope²."""
    size = len(x)
    for p in range(n):
        y = panel[p * size : (p + 1) * size]
        inner = bias
        for c in range(size):
            inner += x[c] * y[c]
        fit = 1 / (1 + math.exp(-(offset + inner + biases[columns[first + p]])))
        slope = np.float32(max(fit * (1 - fit), 1e-3))
        error = np.float32(slope * inner + values[first + p] - fit)
        for c in range(size):
            y[c] *= slope
        pairs[2 * p], pairs[2 * p + 1] = error, slope
        total += float(slope * error)
        pivot += float(slope * slope)
    return total, pivot


@njit(cache=True)
def _add_variances(
    system: Floats, width: int, pairs: Floats, n: int, first: int, columns: NDArray[np.int32], variances: Floats
) -> None:
    """Add slope² times the variances of the other side's rows to the diagonal."""
    for p in range(n):
        slope = pairs[2 * p + 1]
        for c in range(variances.shape[1]):
            system[c * width + c] += slope * slope * variances[columns[first + p], c]


@njit(cache=True)
def _pivots_are_sound(system: Floats, width: int, diagonal: Floats) -> bool:
    """Whether each pivot of a factored system is more than rounding left of its `diagonal` element."""
    for r in range(len(diagonal)):  # noqa: SIM110 (compiled)
        if not system[r * width + r] ** 2 * diagonal[r] * np.float32(_LOST) < 1:
            return False
    return True


@njit(cache=True)
def _solve_in_double(
    begin: int, end: int, columns: NDArray[np.int32], values: Floats, factors: Floats, biases: Floats, offset: float,
    pull: Pull, x: Floats,
) -> float:  # fmt: skip
    """Solve a row whose system float32 can't factor; sets x, returns the bias."""
    size = len(x)
    m = size + 1
    weight = np.float64(end - begin) ** pull.exponent
    system, right = np.zeros((m, m)), np.zeros(m)
    y = np.ones(m)
    for n in range(begin, end):
        y[:size] = factors[columns[n]]
        error = np.float64(values[n]) - offset - biases[columns[n]]
        for r in range(m):
            right[r] += error * y[r]
            for c in range(r + 1):
                system[r, c] += y[r] * y[c]
    for r in range(m):
        for c in range(r + 1):
            system[r, c] *= 1 - pull.missing_weight
            if r < len(pull.gram):
                system[r, c] += pull.gram[r, c]
            if pull.precision[r, c] != 0:
                system[r, c] += weight * pull.precision[r, c]
                if pull.center[c] != 0:
                    right[r] += weight * pull.precision[r, c] * pull.center[c]
                if c < r and pull.center[r] != 0:
                    right[c] += weight * pull.precision[r, c] * pull.center[r]
    for c in range(m):  # LLᵀ, column by column
        pivot = system[c, c]
        for d in range(c):
            pivot -= system[c, d] ** 2
        pivot = math.sqrt(max(pivot, 1e-15 * system[c, c]))
        system[c, c] = pivot
        for r in range(c + 1, m):
            for d in range(c):
                system[r, c] -= system[r, d] * system[c, d]
            system[r, c] /= pivot
    for r in range(m):
        for c in range(r):
            right[r] -= system[r, c] * right[c]
        right[r] /= system[r, r]
    for r in range(m - 1, -1, -1):
        for c in range(r + 1, m):
            right[r] -= system[c, r] * right[c]
        right[r] /= system[r, r]
    x[:] = right[:size]
    return float(right[size])


@njit(cache=True)
def _add_noise(system: Floats, width: int, size: int, noise: float, state: np.uint64) -> None:
    """Make the solution a draw: independent normal numbers beside the right-hand side of back substitution."""
    for r in range(0, size, 2):
        state += STRIDE
        one, two = normal_pair(state)
        system[r * width + size] += noise * one
        system[(r + 1) * width + size] += noise * two


@njit(cache=True)
def _drawn(precision: Floats, center: Floats) -> Floats:
    """P·c, where an infinite precision about zero draws to zero."""
    product = np.zeros(len(center), np.float32)
    for r in range(len(center)):
        for c in range(len(center)):
            if center[c] != 0:
                product[r] += precision[r, c] * center[c]
    return product


@njit(cache=True, nogil=True, parallel=True)
def solve_rows(
    side: Side, other: Block, own: Block, pull: Pull, scoring: Scoring, method: int, noise: float, seed: int
) -> None:
    """Solve each row of `side`, writing to `own`; chunks of rows run in parallel.

    Where blocks keep variances, they count for the other side's rows and are set for the own ones.

    Args:
        side: the ratings, row by row.
        other: the side held fixed.
        own: the side solved.
        pull: what draws a row beside its ratings.
        scoring: offset and link; behind the link a row takes one Gauss–Newton step from where it is.
        method: MODE, DRAW or NONNEGATIVE.
        noise: standard deviation of the noise, for draws and variances.
        seed: of draws.
    """
    # Taken apart here: numba loses writes to a tuple's arrays inside a parallel loop.
    starts, columns, values, bounds = side
    other_factors, other_bias, other_variance = other
    own_factors, own_bias, own_variance = own
    precision, center, exponent, missing_weight, gram = pull
    offset, logistic = scoring
    size = own_factors.shape[1]
    width = size + LANES
    drawn = _drawn(precision, center)
    # Systems are divided by 1 − w, so that what the rated add needs no factor.
    keep = max(1 - missing_weight, 1e-6)
    per_keep = np.float32(1 / keep)
    noise /= math.sqrt(keep)
    can_be_mended = method == MODE and not logistic and len(own_variance) == 0
    for chunk in prange(len(bounds) - 1):
        system = _aligned(size * width)
        panel = _aligned(_PANEL * size)
        pairs = np.empty(_PANEL * 2, np.float32)
        sums = _aligned(2 * size)
        diagonal = np.empty(size, np.float32)
        for row in range(bounds[chunk], bounds[chunk + 1]):
            begin, end = starts[row], starts[row + 1]
            x = own_factors[row]
            if begin == end and (exponent > 0 or missing_weight > 0):
                x[:] = center[:size]
                own_bias[row] = center[size]
                continue
            weight = np.float32(np.float64(end - begin) ** exponent / keep)
            _set_prior(system, width, sums, precision, drawn, weight)
            if missing_weight > 0:
                _add_missing(system, width, gram, per_keep)
            total = float(weight * drawn[size])
            pivot = float(weight * precision[size, size])
            for first in range(begin, end, _PANEL):
                n = min(_PANEL, end - first)
                errors = _gather(
                    panel, pairs, first, n, columns, values, other_factors, other_bias, offset, per_keep, total
                )
                if logistic:
                    total, pivot = _linearize(
                        panel, pairs, n, first, columns, values, other_bias, offset, x, own_bias[row], total, pivot
                    )
                else:
                    total, pivot = errors, pivot + n
                if len(other_variance):
                    _add_variances(system, width, pairs, n, first, columns, other_variance)
                _add_gram(system, width, panel, n, size)
                for c in range(0, size, LANES):
                    _add_sums(sums, c, size, pairs, 0, 2, panel, c, size, n)
            for r in range(size):
                system[r * width + size] = sums[r]
                system[r * width + size + 1] = sums[size + r]
                diagonal[r] = system[r * width + r]
            if method == NONNEGATIVE:
                own_bias[row] = _descend(system, width, size, total, pivot, x, own_bias[row])
                continue
            if len(own_variance):
                for r in range(size):
                    own_variance[row, r] = noise * noise / diagonal[r]
            _factorize(system, width, size)
            if can_be_mended and not _pivots_are_sound(system, width, diagonal):
                own_bias[row] = _solve_in_double(
                    begin, end, columns, values, other_factors, other_bias, offset, pull, x
                )
                continue
            least = 1e-7 * pivot  # what rounding may leave of a pivot that vanishes
            for r in range(size):
                total -= system[r * width + size] * system[r * width + size + 1]
                pivot -= system[r * width + size + 1] ** 2
            pivot = max(pivot, least)
            own_bias[row] = total / pivot
            if method == DRAW:
                state = mix(np.uint64(seed) + np.uint64(row) * STRIDE)
                own_bias[row] += noise * normal_pair(state)[0] / math.sqrt(pivot)
                _add_noise(system, width, size, noise, state)
            _solve_back(system, width, size, own_bias[row], x)


@njit(cache=True, nogil=True, parallel=True, fastmath={"reassoc", "contract"})
def squared_error(side: Side, other: Block, own: Block, scoring: Scoring, missing_weight: float) -> float:
    """Sum of squared errors over all ratings of `side`, less `missing_weight` times their squared scores.

    In the unit the rows are solved in. Where blocks keep variances, the sum expected under them.
    """
    starts, columns, values, bounds = side
    other_factors, other_bias, other_variance = other
    own_factors, own_bias, own_variance = own
    offset, logistic = scoring
    uncertain = len(own_variance) > 0 and len(other_variance) > 0
    totals = np.zeros(len(bounds) - 1, np.float64)
    for chunk in prange(len(bounds) - 1):
        subtotal = 0.0
        for row in range(bounds[chunk], bounds[chunk + 1]):
            x = own_factors[row]
            for n in range(starts[row], starts[row + 1]):
                column = columns[n]
                y = other_factors[column]
                score = np.float32(0)
                for c in range(len(x)):
                    score += x[c] * y[c]
                score += own_bias[row] + other_bias[column]
                fit = 1 / (1 + math.exp(-(offset + score))) if logistic else offset + score
                error = values[n] - fit
                subtotal += error * error - missing_weight * score * score
                if uncertain:
                    slope = fit * (1 - fit) if logistic else 1.0
                    variance = np.float32(0)
                    for c in range(len(x)):
                        x_variance, y_variance = own_variance[row, c], other_variance[column, c]
                        variance += x[c] * x[c] * y_variance + (y[c] * y[c] + y_variance) * x_variance
                    subtotal += (slope * slope - missing_weight) * variance
        totals[chunk] = subtotal
    return float(totals.sum())
