"""Adam over mini-batches, lazily: a row's moments move only when a batch touches the row.

The grid of blocks is that of plain descent, so that threads never share a row. A batch lies
within a block; its errors are taken at the parameters it starts from, and each row it touches
is updated once, with the mean gradient over the row's ratings in the batch. Bias correction
counts the row's own updates.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.grid import shuffle
from mfcore.models.kernels.random import STRIDE, mix
from mfcore.models.kernels.turns import Turns, begin, go_on

__all__ = ["adam_turns"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]

_FIRST, _SECOND, _FLOOR = np.float32(0.9), np.float32(0.999), np.float32(1e-8)
"""Adam's β₁, β₂ and ε, as its authors recommend."""


@njit(cache=True)
def _update(
    rows: Codes, n_rows: int, counts: Floats, slopes: Floats, parameters: Floats, first: Floats, second: Floats,
    steps: Codes, places: Codes, rate: np.float32, reg: np.float32, reg_bias: np.float32,
) -> None:  # fmt: skip
    """One Adam step for each row touched; parameters are factors and, in the last column, the bias."""
    size = parameters.shape[1]
    for place in range(n_rows):
        row = rows[place]
        steps[row] += 1
        places[row] = -1
        correction = rate * math.sqrt(1 - _SECOND ** steps[row]) / (1 - _FIRST ** steps[row])
        for c in range(size):
            pull = reg_bias if c == size - 1 else reg
            slope = slopes[place, c] / counts[place] + pull * parameters[row, c]
            first[row, c] = _FIRST * first[row, c] + (1 - _FIRST) * slope
            second[row, c] = _SECOND * second[row, c] + (1 - _SECOND) * slope * slope
            parameters[row, c] -= np.float32(correction) * first[row, c] / (np.sqrt(second[row, c]) + _FLOOR)


@njit(cache=True, nogil=True)
def adam_turns(
    held: int,
    turns: Turns,
    losses: NDArray[np.float64],
    starts: NDArray[np.int64],
    users: Codes,
    items: Codes,
    values: Floats,
    seed: int,
    user_side: tuple[Floats, Floats, Floats, Codes, Codes],
    item_side: tuple[Floats, Floats, Floats, Codes, Codes],
    batch_size: int,
    rate: float,
    regs: Floats,
) -> int:
    """Visit the ratings of blocks in mini-batches, in a new random order; `losses` gets their squared errors' sums.

    A side is its parameters (n, k + 1), their first and second moments, each row's number of updates so far, and
    where in the batch its gradient is summed: −1 between batches. `regs` are those of users, items and their biases.
    """
    x, x_first, x_second, x_steps, x_places = user_side
    y, y_first, y_second, y_steps, y_places = item_side
    size = x.shape[1]
    k = size - 1
    step = np.float32(rate)
    x_slopes, y_slopes = np.empty((batch_size, size), np.float32), np.empty((batch_size, size), np.float32)
    x_counts, y_counts = np.empty(batch_size, np.float32), np.empty(batch_size, np.float32)
    x_rows, y_rows = np.empty(batch_size, np.int32), np.empty(batch_size, np.int32)
    turn, is_free = begin(held, turns)
    while is_free:
        block = turns.blocks.flat[turn]
        start, stop = starts[block], starts[block + 1]
        shuffle(
            users[start:stop], items[start:stop], values[start:stop], mix(np.uint64(seed) + np.uint64(block) * STRIDE)
        )
        loss = 0.0
        for first in range(start, stop, batch_size):
            n_x = n_y = 0
            for n in range(first, min(first + batch_size, stop)):
                u, i = users[n], items[n]
                if x_places[u] < 0:
                    x_places[u], x_rows[n_x], x_counts[n_x] = n_x, u, 0
                    x_slopes[n_x] = 0
                    n_x += 1
                if y_places[i] < 0:
                    y_places[i], y_rows[n_y], y_counts[n_y] = n_y, i, 0
                    y_slopes[n_y] = 0
                    n_y += 1
                p, q = x_places[u], y_places[i]
                error = values[n] - x[u, k] - y[i, k]
                for c in range(k):
                    error -= x[u, c] * y[i, c]
                loss += error * error
                for c in range(k):
                    x_slopes[p, c] -= error * y[i, c]
                    y_slopes[q, c] -= error * x[u, c]
                x_slopes[p, k] -= error
                y_slopes[q, k] -= error
                x_counts[p] += 1
                y_counts[q] += 1
            _update(x_rows, n_x, x_counts, x_slopes, x, x_first, x_second, x_steps, x_places, step, regs[0], regs[2])
            _update(y_rows, n_y, y_counts, y_slopes, y, y_first, y_second, y_steps, y_places, step, regs[1], regs[3])
        losses[turn] = loss
        turn, is_free = go_on(turn, turns)
    return turn
