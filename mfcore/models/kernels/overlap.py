"""How alike the items of each list are by who rated them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels.threads import share

__all__ = ["mark", "mean_cosines"]

Bits = NDArray[np.uint64]


@njit(cache=True)
def mark(users: NDArray[np.int32], items: NDArray[np.int32], n_items: int, n_users: int) -> Bits:
    """A bit for each (item, user) pair that is given: (n_items, ⌈n_users / 64⌉); users below 0 are passed over."""
    bits = np.zeros((n_items, (n_users + 63) // 64), np.uint64)
    for n in range(len(users)):
        if users[n] >= 0:
            bits[items[n], users[n] >> 6] |= np.uint64(1) << np.uint64(users[n] & 63)
    return bits


@njit(cache=True)
def _count(word: np.uint64) -> np.uint64:
    """Bits that are set in a word, counted in pairs, fours and bytes at once."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


def mean_cosines(bits: Bits, lists: NDArray[np.int32]) -> NDArray[np.float64]:
    """Mean of |A ∩ B| / √(|A| |B|) over the pairs of each list's items, (n,); NaN where a list has no pair.

    Items are their rows of `bits`, of which an empty one is like none; −1 in a list is an empty place.
    """
    means = np.empty(len(lists))
    sizes = np.bitwise_count(bits).sum(axis=1, dtype=np.float64)
    share(len(lists), _set_means, bits, sizes, lists, means)
    return means


@njit(cache=True, nogil=True)
def _set_means(
    first_row: int, last_row: int, bits: Bits, sizes: NDArray[np.float64], lists: NDArray[np.int32],
    means: NDArray[np.float64],
) -> None:  # fmt: skip
    for row in range(first_row, last_row):
        total, pairs = 0.0, 0
        for first in range(lists.shape[1]):
            for second in range(first):
                a, b = lists[row, first], lists[row, second]
                if a >= 0 and b >= 0:
                    pairs += 1
                    common = np.uint64(0)
                    for n in range(bits.shape[1]):
                        common += _count(bits[a, n] & bits[b, n])
                    if common:
                        total += common / np.sqrt(sizes[a] * sizes[b])
        means[row] = total / pairs if pairs else np.nan
