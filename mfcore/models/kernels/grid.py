"""Ratings sorted into a grid of blocks, so that threads never share a row and rows stay in the cache.

Users and items are split into groups with about equally many ratings; a rating belongs to the block of
its user's and its item's group. Blocks of other groups on both sides share no row, so that two threads may
visit them at once (`turns` says in which order). The rows of a group lie side by side: a cache line that
two threads write to travels between their cores.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.random import STRIDE, mix

__all__ = ["balanced_groups", "n_groups_of", "places_of", "shuffle", "sort_into_blocks"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
Groups = NDArray[np.uint8]

_LEAST, _MOST = 16, 256
"""Groups of users and of items. How many is part of the algorithm: other groups are another order of updates."""
_GROUP_BYTES = 1 << 19
"""Of the factors of a group, so that they stay in a core's second cache while a block is visited."""


def n_groups_of(n_rows: int, size: int) -> int:
    """Groups that rows of `size` floats are split into: a power of two."""
    n = _LEAST
    while n < _MOST and 4 * size * n_rows > n * _GROUP_BYTES:
        n *= 2
    return n


@njit(cache=True)
def balanced_groups(counts: NDArray[np.int64], by_count: NDArray[np.int64], n_groups: int) -> Groups:
    """Part rows into groups with about equally many ratings: the longest row left joins the lightest group."""
    groups = np.empty(len(counts), np.uint8)
    load = np.zeros(n_groups, np.int64)
    for row in by_count:
        lightest = np.argmin(load)
        groups[row] = lightest
        load[lightest] += counts[row] + 1
    return groups


def places_of(groups: Groups) -> Codes:
    """Where each row lies when those of a group lie side by side."""
    places = np.empty(len(groups), np.int32)
    places[np.argsort(groups, kind="stable")] = np.arange(len(groups), dtype=np.int32)
    return places


@njit(cache=True)
def sort_into_blocks(
    users: Codes, items: Codes, values: Floats, groups: tuple[Groups, Groups], places: tuple[Codes, Codes],
    shape: tuple[int, int],
) -> tuple[NDArray[np.int64], Codes, Codes, Floats]:  # fmt: skip
    """Counting sort of ratings by block: starts (n_blocks + 1,), users' places, items' places, values.

    `groups` and `places` are those of users and of items, `shape` is how many groups there are; blocks are counted
    row by row.
    """
    n_user_groups, n_item_groups = shape
    user_groups, item_groups = groups
    user_places, item_places = places
    starts = np.zeros(n_user_groups * n_item_groups + 1, np.int64)
    for n in range(len(users)):
        starts[np.int64(user_groups[users[n]]) * n_item_groups + item_groups[items[n]] + 1] += 1
    for block in range(len(starts) - 1):
        starts[block + 1] += starts[block]
    free = starts[:-1].copy()
    sorted_users, sorted_items = np.empty_like(users), np.empty_like(items)
    sorted_values = np.empty_like(values)
    for n in range(len(users)):
        block = np.int64(user_groups[users[n]]) * n_item_groups + item_groups[items[n]]
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
        other = np.uint64(n) + (((mix(state) >> np.uint64(32)) * np.uint64(n_ratings - n)) >> np.uint64(32))
        users[n], users[other] = users[other], users[n]
        items[n], items[other] = items[other], items[n]
        values[n], values[other] = values[other], values[n]
