"""Stochastic gradient descent over a grid of blocks, so that threads never share a row.

Users and items are split into GRID groups each; a rating belongs to the block of its
user's and its item's group. An epoch has GRID rounds, and in a round the GRID blocks lie
on a (wrapped) diagonal of the grid: no two share a user or an item, so they may run on any
number of threads, in any order, with the same bits as a result.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from mfcore.models.kernels.layout import Block
from mfcore.models.kernels.parts import add_up, no_parts
from mfcore.models.kernels.random import STRIDE, mix

__all__ = ["GRID", "balanced_groups", "sgd_epoch", "sort_into_blocks"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]

GRID = 16
"""Groups of users and of items. It is part of the algorithm: another grid is another order of updates."""


@njit(cache=True)
def balanced_groups(counts: NDArray[np.int64], by_count: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Part rows into GRID groups with about equally many ratings: the longest row left joins the lightest group."""
    groups = np.empty(len(counts), np.uint8)
    load = np.zeros(GRID, np.int64)
    for row in by_count:
        lightest = np.argmin(load)
        groups[row] = lightest
        load[lightest] += counts[row] + 1
    return groups


@njit(cache=True)
def sort_into_blocks(
    users: Codes, items: Codes, values: Floats, user_groups: NDArray[np.uint8], item_groups: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], Codes, Codes, Floats]:
    """Counting sort of ratings by block: starts (GRID² + 1,), users, items, values."""
    starts = np.zeros(GRID * GRID + 1, np.int64)
    for n in range(len(users)):
        starts[np.int64(user_groups[users[n]]) * GRID + item_groups[items[n]] + 1] += 1
    for block in range(GRID * GRID):
        starts[block + 1] += starts[block]
    free = starts[:-1].copy()
    sorted_users, sorted_items = np.empty_like(users), np.empty_like(items)
    sorted_values = np.empty_like(values)
    for n in range(len(users)):
        block = np.int64(user_groups[users[n]]) * GRID + item_groups[items[n]]
        place = free[block]
        free[block] += 1
        sorted_users[place], sorted_items[place], sorted_values[place] = users[n], items[n], values[n]
    return starts, sorted_users, sorted_items, sorted_values


@njit(cache=True, nogil=True, parallel=True, fastmath=True)
def sgd_epoch(
    starts: NDArray[np.int64],
    users: Codes,
    items: Codes,
    values: Floats,
    rounds: NDArray[np.int64],
    seed: int,
    user_side: Block,
    item_side: Block,
    rate: float,
    reg_user: float,
    reg_item: float,
    reg_user_bias: float,
    reg_item_bias: float,
    missing_weight: float,
) -> float:
    """One pass over all ratings, each block in a new random order; the sum of squared errors met on the way.

    With `missing_weight` w above 0 there are no biases, and a rating pulls by z − (1 − w) x·y: what
    is left of its gradient when the pull of all pairs, rated or not, is taken off.
    """
    losses = no_parts(GRID * GRID)
    user_factors, user_bias, _ = user_side
    item_factors, item_bias, _ = item_side
    size = user_factors.shape[1]
    step = np.float32(rate)
    keep_user, keep_item = np.float32(1 - rate * reg_user), np.float32(1 - rate * reg_item)
    bias_step = step if missing_weight == 0 else np.float32(0)
    weak = missing_weight > 0
    pushed = np.float32(rate * missing_weight)
    keep_user_bias, keep_item_bias = np.float32(1 - rate * reg_user_bias), np.float32(1 - rate * reg_item_bias)
    for shift in rounds:
        for group in prange(GRID):
            block = group * GRID + (group + shift) % GRID
            state = mix(np.uint64(seed) + np.uint64(block) * STRIDE)
            end = starts[block + 1]
            loss = 0.0
            for n in range(starts[block], end):
                # Fisher–Yates as we go: draw one of the ratings that are left.
                state += STRIDE
                other = n + np.int64(((mix(state) >> np.uint64(32)) * np.uint64(end - n)) >> np.uint64(32))
                u, i, value = users[other], items[other], values[other]
                users[other], items[other], values[other] = users[n], items[n], values[n]
                users[n], items[n], values[n] = u, i, value

                x, y = user_factors[u], item_factors[i]
                dot = np.float32(0)
                for c in range(size):
                    dot += x[c] * y[c]
                error = value - user_bias[u] - item_bias[i] - dot
                loss += error * error
                move = step * error
                if weak:
                    move += pushed * dot
                user_bias[u] = keep_user_bias * user_bias[u] + bias_step * error
                item_bias[i] = keep_item_bias * item_bias[i] + bias_step * error
                for c in range(size):
                    before = x[c]
                    x[c] = keep_user * before + move * y[c]
                    y[c] = keep_item * y[c] + move * before
            losses[block] = loss
    return add_up(losses)
