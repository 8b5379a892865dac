"""Plain gradient descent, one rating at a time."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.grid import shuffle
from mfcore.models.kernels.primitives import visit
from mfcore.models.kernels.random import STRIDE, mix
from mfcore.models.kernels.turns import Turns, begin, go_on

__all__ = ["PIECE", "sgd_turns"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]

PIECE = 4096
"""Ratings that are shuffled at a time: 48 KB, so that they stay in the first-level cache."""


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def sgd_turns(
    held: int,
    turns: Turns,
    losses: NDArray[np.float64],
    starts: NDArray[np.int64],
    users: Codes,
    items: Codes,
    values: Floats,
    piece: int,
    seed: int,
    user_factors: Floats,
    user_bias: Floats,
    item_factors: Floats,
    item_bias: Floats,
    size: int,
    rate: float,
    regs: Floats,
    missing_weight: float,
) -> int:
    """Visit the ratings of blocks, each `piece` of one in a new random order; `losses` gets their squared errors' sums.

    Factors are flat, `size` floats a row, and `regs` are those of users, items and their biases. With `missing_weight`
    w above 0 there are no biases, and a rating pulls by z − (1 − w) x·y: what is left of its gradient when the pull
    of all pairs, rated or not, is taken off.
    """
    step = np.float32(rate)
    lost = np.float32(rate * (1 - missing_weight))
    bias_step = step if missing_weight == 0 else np.float32(0)
    keep_user, keep_item = np.float32(1 - step * regs[0]), np.float32(1 - step * regs[1])
    keep_user_bias, keep_item_bias = np.float32(1 - step * regs[2]), np.float32(1 - step * regs[3])
    turn, is_free = begin(held, turns)
    while is_free:
        block = turns.blocks.flat[turn]
        loss = 0.0
        state = mix(np.uint64(seed) + np.uint64(block) * STRIDE)
        for first in range(starts[block], starts[block + 1], piece):
            last = min(first + piece, starts[block + 1])
            some_users, some_items, some_values = users[first:last], items[first:last], values[first:last]
            shuffle(some_users, some_items, some_values, state)
            state = mix(state)
            for n in range(last - first):  # unsigned codes: signed ones might count from the end
                u, i = np.uint32(some_users[n]), np.uint32(some_items[n])
                target = some_values[n] - user_bias[u] - item_bias[i]
                error = target - visit(
                    user_factors, np.int64(u) * size, item_factors, np.int64(i) * size, size,
                    target, step, lost, keep_user, keep_item,
                )  # fmt: skip
                loss += error * error
                user_bias[u] = keep_user_bias * user_bias[u] + bias_step * error
                item_bias[i] = keep_item_bias * item_bias[i] + bias_step * error
        losses[turn] = loss
        turn, is_free = go_on(turn, turns)
    return turn
