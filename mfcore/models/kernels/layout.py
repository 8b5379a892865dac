"""How the two sides of a factorization lie in memory: what kernels take."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block", "Side"]


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
        factors: float32, (n_rows, size); rows are padded with zeros to a multiple of the register length.
        bias: float32, (n_rows,).
        variance: float32, (n_rows, size), where variances of the factors are kept; else (0, size).
    """

    factors: NDArray[np.float32]
    bias: NDArray[np.float32]
    variance: NDArray[np.float32]

    @classmethod
    def zeros(cls, n_rows: int, size: int, with_variance: bool = False) -> "Block":
        """All parameters zero."""
        variance = np.zeros((n_rows if with_variance else 0, size), np.float32)
        return cls(np.zeros((n_rows, size), np.float32), np.zeros(n_rows, np.float32), variance)
