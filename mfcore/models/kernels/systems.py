"""A row's normal equations, put together in the room of one thread.

The system lies row by row in a flat array of `size` rows, each LANES floats longer than `size`:
two columns right of the matrix hold the right-hand side, Σ e ỹ, and the bias's column, Σ y. Of the
matrix itself, which is symmetric, only the upper half is set.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.layout import LINE, Block, Pull, Scoring, Side
from mfcore.models.kernels.primitives import LANES, NARROW, ROWS, make_tile, prefetch_row

__all__ = ["Room", "assemble", "drawn_to", "kept", "make_room", "padded"]

Floats = NDArray[np.float32]

_PANEL = 64
"""Ratings gathered at a time: 16 KB at k = 64, so that a panel stays in the first-level cache."""
_LEAST_KEPT = 1e-6
"""Of 1 − w, by which systems are divided: with w = 1 ratings count no more than this beside the rest."""
_LEAST_SLOPE = 1e-3
"""Of the logistic function: far out on it a step would otherwise be the error divided by next to nothing."""

_add_3, _add_2, _add_1 = (make_tile(ROWS, vectors) for vectors in (3, 2, 1))
_add_narrow = make_tile(ROWS, 1, lanes=NARROW)
_add_sums_4, _add_sums_1 = make_tile(2, 4), make_tile(2, 1)


class Room(NamedTuple):
    """Where one thread works.

    Attributes:
        system: float32, (size · (size + LANES),); see above.
        panel: float32, (_PANEL · size,); the other side's rows of some ratings.
        pairs: float32, (_PANEL · 2,); the error and the slope of each of these ratings.
        sums: float32, (2 · size,); Σ e y, then Σ y.
        diagonal: float32, (size,); of the system before it is factored.
    """

    system: Floats
    panel: Floats
    pairs: Floats
    sums: Floats
    diagonal: Floats


def padded(n_factors: int) -> int:
    """Row length with which the kernels work."""
    return -(-n_factors // LANES) * LANES


@njit(cache=True)
def make_room(size: int) -> Room:
    """Room for systems of `size` factors, aligned to cache lines where tiles read it."""
    return Room(
        _aligned(size * (size + LANES)),
        _aligned(_PANEL * size),
        np.empty(_PANEL * 2, np.float32),
        _aligned(2 * size),
        np.empty(size, np.float32),
    )


@njit(cache=True)
def _aligned(n: int) -> Floats:
    """Room for `n` floats that starts on a cache line."""
    room = np.empty(n + LINE, np.float32)
    skip = (-(room.ctypes.data >> 2)) & (LINE - 1)
    return room[skip : skip + n]


@njit(cache=True)
def kept(missing_weight: float) -> float:
    """1 − w: systems are divided by it, so that what the rated add needs no factor."""
    return max(1 - missing_weight, _LEAST_KEPT)


def drawn_to(precision: Floats, center: Floats) -> Floats:
    """P·c, where an infinite precision about zero draws to zero."""
    products = np.zeros_like(precision)
    np.multiply(precision, center, where=center != 0, out=products)
    drawn: Floats = products.sum(axis=1)
    return drawn


@njit(cache=True, inline="always")
def assemble(
    room: Room, row: int, side: Side, other: Block, own: Block, pull: Pull, drawn: Floats, scoring: Scoring
) -> tuple[float, float]:
    """Put the system of one row into `room`.

    Args:
        room: overwritten.
        row: of `side`.
        side: the ratings, row by row.
        other: the side held fixed; where it keeps variances, they count.
        own: the side solved; behind the link the step is taken from where the row is.
        pull: what draws the row beside its ratings.
        drawn: P·c, as `drawn_to` gives it.
        scoring: offset and link.

    Returns:
        The bias's right-hand side and its element of the diagonal.
    """
    size = len(room.diagonal)
    width = size + LANES
    begin, end = side.starts[row], side.starts[row + 1]
    keep = kept(pull.missing_weight)
    per_keep = np.float32(1 / keep)
    weight = np.float32(np.float64(end - begin) ** pull.exponent / keep)
    _set_prior(room, pull.precision, drawn, weight)
    if pull.missing_weight > 0:
        _add_missing(room, pull.gram, per_keep)
    total = float(weight * drawn[size])
    pivot = float(weight * pull.precision[size, size])
    for first in range(begin, end, _PANEL):
        n = min(_PANEL, end - first)
        errors = _gather(room, first, n, side, other, scoring.offset, per_keep, total)
        if scoring.logistic:
            total, pivot = _linearize(
                room, first, n, side, other, scoring.offset, own.factors[row], own.bias[row], total, pivot
            )
        else:
            total, pivot = errors, pivot + n
        if len(other.variance):
            _add_variances(room, first, n, side, other)
        _add_gram(room.system, width, room.panel, n, size)
        _add_sums(room.sums, room.pairs, room.panel, n, size)
    for r in range(size):
        room.system[r * width + size] = room.sums[r]
        room.system[r * width + size + 1] = room.sums[size + r]
        room.diagonal[r] = room.system[r * width + r]
    return total, pivot


@njit(cache=True, inline="always")
def _set_prior(room: Room, precision: Floats, drawn: Floats, weight: np.float32) -> None:
    """Start a row's system and right-hand sides with the prior's."""
    size = len(room.diagonal)
    width = size + LANES
    for r in range(size):
        line, prior = room.system[r * width : r * width + size], precision[r]
        for c in range(r // LANES * LANES, size):
            line[c] = weight * prior[c]
        room.sums[r] = weight * drawn[r]
        room.sums[size + r] = weight * precision[r, size]


@njit(cache=True, inline="always")
def _add_missing(room: Room, gram: Floats, per_keep: np.float32) -> None:
    """Add w YᵀY / (1 − w)."""
    size = gram.shape[1]
    width = size + LANES
    for r in range(size):
        line, other = room.system[r * width : r * width + size], gram[r]
        for c in range(r // LANES * LANES, size):
            line[c] += per_keep * other[c]


@njit(cache=True, inline="always")
def _gather(
    room: Room, first: int, n: int, side: Side, other: Block, offset: float, scale: np.float32, total: float
) -> float:
    """Copy the other side's rows of n ratings and their errors, times `scale`, into `room`; total plus the errors."""
    panel, pairs, columns = room.panel, room.pairs, side.columns
    size = other.factors.shape[1]
    for p in range(n):
        column = columns[first + p]
        prefetch_row(other.factors, columns[min(first + p + _PANEL, len(columns) - 1)])
        y = other.factors[column]
        rating = panel[p * size : (p + 1) * size]
        for c in range(size):  # a loop: numba copies slices one float at a time
            rating[c] = y[c]
        error = np.float32(side.values[first + p] - offset - other.bias[column]) * scale
        pairs[2 * p], pairs[2 * p + 1] = error, 1
        total += float(error)
    return total


@njit(cache=True, inline="always")
def _linearize(
    room: Room, first: int, n: int, side: Side, other: Block, offset: float, x: Floats, bias: np.float32,
    total: float, pivot: float,
) -> tuple[float, float]:  # fmt: skip
    """Make what `_gather` left a Gauss–Newton step behind the link; total plus slope · error, pivot plus slope²."""
    panel, pairs = room.panel, room.pairs
    size = len(x)
    for p in range(n):
        y = panel[p * size : (p + 1) * size]
        inner = bias
        for c in range(size):
            inner += x[c] * y[c]
        fit = 1 / (1 + math.exp(-(offset + inner + other.bias[side.columns[first + p]])))
        slope = np.float32(max(fit * (1 - fit), _LEAST_SLOPE))
        error = np.float32(slope * inner + side.values[first + p] - fit)
        for c in range(size):
            y[c] *= slope
        pairs[2 * p], pairs[2 * p + 1] = error, slope
        total += float(slope * error)
        pivot += float(slope * slope)
    return total, pivot


@njit(cache=True, inline="always")
def _add_variances(room: Room, first: int, n: int, side: Side, other: Block) -> None:
    """Add slope² times the variances of the other side's rows to the diagonal."""
    system, pairs, variances = room.system, room.pairs, other.variance
    width = len(room.diagonal) + LANES
    for p in range(n):
        slope = pairs[2 * p + 1]
        for c in range(variances.shape[1]):
            system[c * width + c] += slope * slope * variances[side.columns[first + p], c]


@njit(cache=True, inline="always")
def _add_sums(sums: Floats, pairs: Floats, panel: Floats, n: int, size: int) -> None:
    """Add pairsᵀ·panel (n rows of 2 and of `size`) to `sums`."""
    rest = size // (4 * LANES) * 4 * LANES
    for column in range(0, rest, 4 * LANES):
        _add_sums_4(sums, column, size, pairs, 0, 2, panel, column, size, n)
    for column in range(rest, size, LANES):
        _add_sums_1(sums, column, size, pairs, 0, 2, panel, column, size, n)


@njit(cache=True)
def _add_gram(system: Floats, width: int, panel: Floats, n: int, size: int) -> None:
    """Add the upper half of panelᵀ·panel (n rows of `size`) to `system` (rows of `width`)."""
    for row in range(0, size, ROWS):
        column = row // NARROW * NARROW
        if column % LANES:
            _add_narrow(system, row * width + column, width, panel, row, size, panel, column, size, n)
            column += NARROW
        while column < size:
            left = (size - column) // LANES
            at = row * width + column
            if left >= 3 and left != 4:
                _add_3(system, at, width, panel, row, size, panel, column, size, n)
                column += 3 * LANES
            elif left >= 2:
                _add_2(system, at, width, panel, row, size, panel, column, size, n)
                column += 2 * LANES
            else:
                _add_1(system, at, width, panel, row, size, panel, column, size, n)
                column += LANES
