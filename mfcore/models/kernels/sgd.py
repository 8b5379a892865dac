"""Stochastic gradient descent over a grid of blocks, so that threads never share a row.

Users and items are split into GRID groups each; a rating belongs to the block of its
user's and its item's group. An epoch has GRID rounds, and in a round the GRID blocks lie
on a (wrapped) diagonal of the grid: no two share a user or an item, so they may run on any
number of threads, in any order, with the same bits as a result. The rows of a group lie
side by side: a cache line that two threads write to travels between their cores.
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from mfcore.models.kernels.layout import Block
from mfcore.models.kernels.parts import add_up, no_parts
from mfcore.models.kernels.primitives import prefetch_row
from mfcore.models.kernels.random import STRIDE, mix

__all__ = ["GRID", "balanced_groups", "places_of", "sgd_epoch", "shuffle", "sort_into_blocks"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]

GRID = 16
"""Groups of users and of items. It is part of the algorithm: another grid is another order of updates."""

_AHEAD = 4
"""Ratings whose rows are on their way from memory while one is visited."""


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
def places_of(groups: NDArray[np.uint8]) -> Codes:
    """Where each row lies when those of a group lie side by side."""
    starts = np.zeros(GRID + 1, np.int32)
    for group in groups:
        starts[group + 1] += 1
    for group in range(GRID):
        starts[group + 1] += starts[group]
    places = np.empty(len(groups), np.int32)
    for row, group in enumerate(groups):
        places[row] = starts[group]
        starts[group] += 1
    return places


@njit(cache=True)
def sort_into_blocks(
    users: Codes, items: Codes, values: Floats, user_groups: NDArray[np.uint8], item_groups: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], Codes, Codes, Floats]:
    """Counting sort of ratings by block: starts (GRID² + 1,), users' places, items' places, values."""
    user_places, item_places = places_of(user_groups), places_of(item_groups)
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
        sorted_users[place], sorted_items[place] = user_places[users[n]], item_places[items[n]]
        sorted_values[place] = values[n]
    return starts, sorted_users, sorted_items, sorted_values


@njit(cache=True)
def shuffle(users: Codes, items: Codes, values: Floats, state: np.uint64) -> None:
    """Put ratings into a random order (Fisher–Yates)."""
    n_ratings = len(users)
    for n in range(n_ratings):
        state += STRIDE
        other = n + np.int64(((mix(state) >> np.uint64(32)) * np.uint64(n_ratings - n)) >> np.uint64(32))
        users[n], users[other] = users[other], users[n]
        items[n], items[other] = items[other], items[n]
        values[n], values[other] = values[other], values[n]


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
            begin, end = starts[block], starts[block + 1]
            state = mix(np.uint64(seed) + np.uint64(block) * STRIDE)
            shuffle(users[begin:end], items[begin:end], values[begin:end], state)
            loss = 0.0
            for n in range(begin, end):
                u, i, value = users[n], items[n], values[n]
                ahead = min(n + _AHEAD, end - 1)
                prefetch_row(user_factors, users[ahead])
                prefetch_row(item_factors, items[ahead])
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
