"""What is made of a row's system: its solution, a draw around it, or the best row that is not negative.

The leading k × k block is factored as UᵀU with the bias's column and the right-hand side carried
along, so that forward substitution costs nothing extra; the bias is the last pivot.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.layout import Block, Pull, Scoring, Side
from mfcore.models.kernels.primitives import LANES, NARROW, ROWS, make_dots, make_pivots, make_substitution, make_tile
from mfcore.models.kernels.random import STRIDE, normal_pair
from mfcore.models.kernels.systems import Room

__all__ = ["descend", "draw", "factorize", "is_sound", "solve_back", "solve_in_double"]

Floats = NDArray[np.float32]

_DESCENTS = 200
"""Passes of coordinate descent over a non-negative row at most; it starts from the row of the epoch before."""
_STILL = 1e-6
"""Moves of this share of the row's largest factor end the descent."""
_LOST = 1e-5
"""Share of a diagonal element below which rounding may have decided its pivot: float32 keeps seven digits."""
_LEAST_PIVOT = 1e-7
"""Share of the bias's diagonal element that rounding may leave of a pivot that vanishes; the pivot is no less."""
_LEAST_IN_DOUBLE = 1e-15
"""The same of any pivot in double precision."""

_subtract_3, _subtract_2, _subtract_1 = (make_tile(ROWS, vectors, subtract=True) for vectors in (3, 2, 1))
_subtract_narrow = make_tile(ROWS, 1, subtract=True, lanes=NARROW)
_pivots, _substitute, _dots = make_pivots(ROWS), make_substitution(ROWS), make_dots(ROWS)


@njit(cache=True, inline="always")
def factorize(room: Room, total: float, pivot: float) -> tuple[float, float]:
    """Factor the system; the bias's right-hand side and pivot with the factors eliminated."""
    system = room.system
    size = len(room.diagonal)
    width = size + LANES
    _factor(system, width, size)
    least = _LEAST_PIVOT * pivot
    for r in range(size):
        total -= system[r * width + size] * system[r * width + size + 1]
        pivot -= system[r * width + size + 1] ** 2
    return total, max(pivot, least)


@njit(cache=True, fastmath={"contract"})
def _factor(system: Floats, width: int, size: int) -> None:
    """Turn the upper half of `system` into U, and the columns right of it into U⁻ᵀ times them.

    The diagonal holds the reciprocals of U's.
    """
    upper, reciprocal = np.empty(ROWS * ROWS, np.float32), np.empty(ROWS, np.float32)
    for first in range(0, size, ROWS):
        column = first // NARROW * NARROW
        if column % LANES:
            at = first * width + column
            _subtract_narrow(system, at, width, system, first, width, system, column, width, first)
            column += NARROW
        while column < width:
            left = (width - column) // LANES
            at = first * width + column
            if left >= 3 and left != 4:
                _subtract_3(system, at, width, system, first, width, system, column, width, first)
                column += 3 * LANES
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
def solve_back(system: Floats, bias: np.float32, x: Floats) -> None:
    """Set x to U⁻¹ (w − bias · v), w and v the two columns right of U."""
    size = len(x)
    width = size + LANES
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
def descend(room: Room, total: float, pivot: float, x: Floats, bias: np.float32) -> np.float32:
    """Lower the row's objective by coordinates, factors kept from going below zero; the new bias.

    The unfactored `system` holds Σ e y and Σ y in the columns right of it.
    """
    system = room.system
    size = len(room.diagonal)
    width = size + LANES
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


@njit(cache=True, inline="always")
def is_sound(room: Room) -> bool:
    """Whether each pivot of the factored system is more than rounding left of its element of the diagonal."""
    system, diagonal = room.system, room.diagonal
    width = len(diagonal) + LANES
    for r in range(len(diagonal)):  # noqa: SIM110 (compiled)
        if not system[r * width + r] ** 2 * diagonal[r] * np.float32(_LOST) < 1:
            return False
    return True


@njit(cache=True, inline="always")
def draw(room: Room, bias: np.float32, pivot: float, noise: float, state: np.uint64) -> np.float32:
    """Make the solution a draw: normal noise on the bias, and beside the right-hand side of back substitution."""
    system = room.system
    size = len(room.diagonal)
    width = size + LANES
    bias = np.float32(bias + noise * normal_pair(state)[0] / math.sqrt(pivot))
    for r in range(0, size, 2):
        state += STRIDE
        first, second = normal_pair(state)
        system[r * width + size] += noise * first
        system[(r + 1) * width + size] += noise * second
    return bias


@njit(cache=True)
def solve_in_double(row: int, side: Side, other: Block, pull: Pull, scoring: Scoring, x: Floats) -> float:
    """Solve a row whose system float32 can't factor; sets x, returns the bias."""
    begin, end = side.starts[row], side.starts[row + 1]
    size = len(x)
    m = size + 1
    weight = np.float64(end - begin) ** pull.exponent
    system, right = np.zeros((m, m)), np.zeros(m)
    y = np.ones(m)
    for n in range(begin, end):
        for r in range(size):
            y[r] = other.factors[side.columns[n], r]
        error = np.float64(side.values[n]) - scoring.offset - other.bias[side.columns[n]]
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
        pivot = math.sqrt(max(pivot, _LEAST_IN_DOUBLE * system[c, c]))
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
    for r in range(size):
        x[r] = right[r]
    return float(right[size])
