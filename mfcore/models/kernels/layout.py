"""How the two sides of a factorization lie in memory: what kernels take."""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LINE", "Block", "Estimate", "Pull", "Scoring", "Side"]

LINE = 16
"""Floats in a cache line."""


class Side(NamedTuple):
    """One side's ratings, row by row.

    Attributes:
        starts: int64, (n_rows + 1,); row r has the entries from starts[r] to starts[r + 1].
        columns: int32, (n,); code on the other side.
        values: float32, (n,).
        bounds: int64; rows that start a chunk of about equal work.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    bounds: NDArray[np.int64]


class Block(NamedTuple):
    """One side's parameters.

    Attributes:
        factors: float32, (n_rows, size); rows are padded with zeros to a multiple of the register length, and the
            first starts on a cache line: a register that lies across two lines takes twice as long to fill.
        bias: float32, (n_rows,).
        variance: float32, (n_rows, size), where variances of the factors are kept; else (0, size).
    """

    factors: NDArray[np.float32]
    bias: NDArray[np.float32]
    variance: NDArray[np.float32]

    @classmethod
    def zeros(cls, n_rows: int, size: int, with_variance: bool = False) -> "Block":
        """All parameters zero."""
        factors = _aligned_zeros(n_rows, size)
        variance = _aligned_zeros(n_rows if with_variance else 0, size)
        return cls(factors, np.zeros(n_rows, np.float32), variance)

    def take(self, rows: NDArray[np.integer[Any]]) -> "Block":
        """Those rows' factors and biases, in this order."""
        taken = Block.zeros(len(rows), self.factors.shape[1])
        np.take(self.factors, rows, axis=0, out=taken.factors)
        np.take(self.bias, rows, out=taken.bias)
        return taken


def _aligned_zeros(n_rows: int, size: int) -> NDArray[np.float32]:
    room = np.zeros(n_rows * size + LINE, np.float32)
    skip = -(room.ctypes.data // room.itemsize) % LINE
    return room[skip : skip + n_rows * size].reshape(n_rows, size)


class Scoring(NamedTuple):
    """How a dot product and biases become a value.

    Attributes:
        offset: added to every score.
        logistic: values lie in [0, 1] and scores pass through 1 / (1 + exp(−s)).
    """

    offset: float
    logistic: bool


class Pull(NamedTuple):
    """What draws a row beside its own ratings: (row − c)ᵀ f·P (row − c) + w Σ (x·y)² over pairs without a rating.

    Attributes:
        precision: P, float32, (size + 1, size + 1), the bias last, where infinity leaves the bias out.
        center: c, float32, (size + 1,).
        exponent: of the row's number of ratings; that power is f.
        missing_weight: w.
        gram: w YᵀY over the other side's rows, float32, (size, size); (0, size) where w is 0.
    """

    precision: NDArray[np.float32]
    center: NDArray[np.float32]
    exponent: float
    missing_weight: float
    gram: NDArray[np.float32]


class Estimate(IntEnum):
    """What is made of a row's system.

    Attributes:
        MODE: its solution.
        DRAW: a draw from the Gaussian around it.
        NONNEGATIVE: the best of the rows whose factors are not negative.
    """

    MODE = 0
    DRAW = 1
    NONNEGATIVE = 2
