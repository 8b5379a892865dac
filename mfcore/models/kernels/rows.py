"""Closed-form solution of every row of one side, the other side held fixed.

A row whose ratings leave the residuals e_p (value less mean, times unit, less the other
side's bias) over the other side's rows y_p solves the normal equations

    [ Σ y yᵀ + f·diag(precision)   Σ y              ] [ x ]   [ Σ e y + f·precision·centre            ]
    [ Σ yᵀ                         n + f·bias_prec. ] [ b ] = [ Σ e   + f·bias_precision·bias_centre  ]

with f = n**exponent. The system is factored as UᵀU with the two right-hand columns carried
along, so that forward substitution costs nothing extra; the bias is the last pivot.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from mfcore.models.kernels.tiles import LANES, ROWS, VECTORS, make_tile

__all__ = ["padded", "solve_rows"]

Floats = NDArray[np.float32]

_PANEL = 64
"""Ratings gathered at a time: 16 KB at k = 64, so that a panel stays in the first-level cache."""

_add_3, _add_2, _add_1 = (make_tile(ROWS, vectors) for vectors in (VECTORS, 2, 1))
_subtract_3, _subtract_2, _subtract_1 = (make_tile(ROWS, vectors, subtract=True) for vectors in (VECTORS, 2, 1))
_add_sums = make_tile(2, 1)


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
        column = row // LANES * LANES
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
def _factorise(system: Floats, width: int, size: int) -> None:
    """Turn the upper half of `system` into U, and the columns right of it into U⁻ᵀ times them."""
    for first in range(0, size, ROWS):
        column = first // LANES * LANES
        start = column
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
        for row in range(first, first + ROWS):
            own = system[row * width + start : (row + 1) * width]
            for above in range(first, row):
                factor = system[above * width + row]
                other = system[above * width + start : (above + 1) * width]
                for c in range(width - start):
                    own[c] -= factor * other[c]
            scale = np.float32(1) / np.sqrt(max(own[row - start], np.float32(1e-12)))
            for c in range(width - start):
                own[c] *= scale


@njit(cache=True, fastmath=True)
def _solve_back(system: Floats, width: int, size: int, bias: np.float32, own: Floats) -> None:
    """Set own to U⁻¹ (first right column − bias · second right column)."""
    for row in range(size - 1, -1, -1):
        line = system[row * width : (row + 1) * width]
        rest = np.float32(0)
        for c in range(row + 1, size):
            rest += line[c] * own[c]
        own[row] = (line[size] - bias * line[size + 1] - rest) / line[row]


@njit(cache=True, parallel=True)
def solve_rows(
    bounds: NDArray[np.int64],
    starts: NDArray[np.int64],
    columns: NDArray[np.int32],
    values: Floats,
    mean: float,
    unit: float,
    other: Floats,
    other_bias: Floats,
    own: Floats,
    own_bias: Floats,
    precision: Floats,
    centre: Floats,
    bias_precision: float,
    bias_centre: float,
    exponent: float,
) -> None:
    """Solve each row, writing `own` (n_rows, size) and `own_bias`; rows of a chunk of `bounds` in turn."""
    size = own.shape[1]
    width = size + LANES
    for chunk in prange(len(bounds) - 1):
        system = _aligned(size * width)
        panel = _aligned(_PANEL * size)
        pairs = np.empty(_PANEL * 2, np.float32)
        sums = _aligned(2 * size)
        for row in range(bounds[chunk], bounds[chunk + 1]):
            begin, end = starts[row], starts[row + 1]
            if begin == end:
                own[row] = centre
                own_bias[row] = bias_centre
                continue
            system[:] = 0
            sums[:] = 0
            total = np.float64(0)
            for first in range(begin, end, _PANEL):
                n = min(_PANEL, end - first)
                for p in range(n):
                    column = columns[first + p]
                    panel[p * size : (p + 1) * size] = other[column]
                    error = np.float32((values[first + p] - mean) * unit - other_bias[column])
                    pairs[2 * p] = error
                    pairs[2 * p + 1] = 1
                    total += error
                _add_gram(system, width, panel, n, size)
                for c in range(0, size, LANES):
                    _add_sums(sums, c, size, pairs, 0, 2, panel, c, size, n)
            n_ratings = end - begin
            weight = np.float32(n_ratings**exponent)
            for c in range(size):
                system[c * width + c] += weight * precision[c]
                system[c * width + size] = sums[c] + weight * precision[c] * centre[c]
                system[c * width + size + 1] = sums[size + c]
            _factorise(system, width, size)
            numerator = total + weight * bias_precision * bias_centre
            pivot = n_ratings + weight * bias_precision
            for c in range(size):
                numerator -= system[c * width + size] * system[c * width + size + 1]
                pivot -= system[c * width + size + 1] ** 2
            own_bias[row] = numerator / max(pivot, 1e-6)
            _solve_back(system, width, size, own_bias[row], own[row])
