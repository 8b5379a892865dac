"""What `tiles` gives, as plain loops that Numba compiles by itself: slower, and without anything of LLVM.

Names, arguments and meaning are those of `tiles`; `primitives` says which of the two is used. ALS
takes 5 times the CPU seconds at 16 factors and 8 to 12 times at 64. Scores of the models that both
train agree to 0.002. What threads tell each other only works with one of them: see `turns`.
"""

import math
from typing import Any, no_type_check

import numpy as np
from numba import njit

__all__ = [
    "LANES",
    "NARROW",
    "ROWS",
    "is_raised",
    "make_dots",
    "make_pivots",
    "make_substitution",
    "make_tile",
    "prefetch",
    "raise_flag",
    "take_number",
    "visit",
]

LANES, ROWS, NARROW = 8, 4, 4


def make_tile(rows: int, vectors: int, subtract: bool = False, lanes: int = LANES) -> Any:
    """A function that adds (or subtracts) n outer products to a tile of `rows` × `vectors` · `lanes` floats."""
    width, sign = vectors * lanes, np.float32(-1 if subtract else 1)

    @njit(cache=True, fastmath={"contract"})
    @no_type_check
    def tile(out, out_at, out_stride, a, a_at, a_stride, b, b_at, b_stride, n):
        for r in range(rows):
            sums = out[out_at + r * out_stride : out_at + r * out_stride + width]
            for p in range(n):
                value = sign * a[a_at + p * a_stride + r]
                across = b[b_at + p * b_stride : b_at + p * b_stride + width]
                for c in range(width):
                    sums[c] += value * across[c]

    return tile


def make_pivots(rows: int) -> Any:
    """A function that factors a block of `rows` × `rows` floats into UᵀU."""

    @njit(cache=True, fastmath={"contract"})
    @no_type_check
    def factor(block, block_at, stride, upper, upper_at, reciprocal, reciprocal_at):
        for r in range(rows):
            for c in range(r, rows):
                upper[upper_at + r * rows + c] = block[block_at + r * stride + c]
        for r in range(rows):
            line = upper_at + r * rows
            scale = np.float32(1) / math.sqrt(max(upper[line + r], np.float32(1e-12)))
            reciprocal[reciprocal_at + r] = scale
            for c in range(r + 1, rows):
                upper[line + c] *= scale
            for below in range(r + 1, rows):
                for c in range(below, rows):
                    upper[upper_at + below * rows + c] -= upper[line + below] * upper[line + c]

    return factor


def make_substitution(rows: int) -> Any:
    """A function that solves UᵀX = A for one vector of columns, X taking the place of A."""

    @njit(cache=True, fastmath={"contract"})
    @no_type_check
    def substitute(out, out_at, out_stride, upper, upper_at, reciprocal, reciprocal_at):
        for r in range(rows):
            line = out[out_at + r * out_stride : out_at + r * out_stride + LANES]
            for above in range(r):
                factor = upper[upper_at + above * rows + r]
                solved = out[out_at + above * out_stride : out_at + above * out_stride + LANES]
                for c in range(LANES):
                    line[c] -= factor * solved[c]
            for c in range(LANES):
                line[c] *= reciprocal[reciprocal_at + r]

    return substitute


def make_dots(rows: int) -> Any:
    """A function that sets out[r] to the dot product of row r of a and x, for `rows` rows."""

    @njit(cache=True, fastmath={"contract", "reassoc"})
    @no_type_check
    def dots(out, out_at, a, a_at, a_stride, x, x_at, n):
        for r in range(rows):
            line = a_at + r * a_stride
            total = np.float32(0)
            for c in range(n):
                total += a[line + c] * x[x_at + c]
            out[out_at + r] = total

    return dots


@njit(cache=True, inline="always")
@no_type_check
def prefetch(array, at):
    """Nothing: a hint can't be given from here."""


@njit(cache=True, fastmath={"contract", "reassoc"})
@no_type_check
def visit(x, x_at, y, y_at, n, target, step, lost, keep_x, keep_y):
    """Take a step of gradient descent for two rows; returns their product as it was before."""
    dot = np.float32(0)
    for c in range(n):
        dot += x[x_at + c] * y[y_at + c]
    move = step * target - lost * dot
    for c in range(n):
        before = x[x_at + c]
        x[x_at + c] = keep_x * before + move * y[y_at + c]
        y[y_at + c] = keep_y * y[y_at + c] + move * before
    return dot


@njit(cache=True)
@no_type_check
def take_number(counter):
    """Read counter[0] and add 1 to it."""
    number = counter[0]
    counter[0] += 1
    return number


@njit(cache=True)
@no_type_check
def raise_flag(flags, at):
    """Set flags[at] to 1."""
    flags[at] = 1


@njit(cache=True)
@no_type_check
def is_raised(flags, at):
    """Whether flags[at] is set."""
    return flags[at] != 0
