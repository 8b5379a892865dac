"""Why items are in lists: the rated items that bring most to their scores."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mfcore.errors import UsageError
from mfcore.machine import n_cores, one_blas_thread
from mfcore.models.factors import Factors
from mfcore.models.rated import RatedItems

__all__ = ["ratings_of", "strongest"]

_CHUNK = 256
"""Users that a thread takes at a time."""


def ratings_of(rated: RatedItems, user: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """What a user rated and how: item codes and ratings; nothing for an unknown user (−1).

    Raises:
        UsageError: a model registered before ratings were kept with it.
    """
    if rated.values is None:
        raise UsageError("this version keeps no users' ratings to explain lists by: `mfcore run` makes one that does.")
    own = slice(*rated.starts[user : user + 2]) if user >= 0 else slice(0)
    return rated.items[own], rated.values[own]


def strongest(
    factors: Factors, rated: RatedItems, users: NDArray[np.int32], items: NDArray[np.int32], k: int
) -> NDArray[np.int32]:
    """For each item of each list the `k` items the user rated that bring most to its score (`Factors.contributions`).

    Args:
        factors: what made the lists.
        rated: what users rated, with the ratings.
        users: codes, (n,); −1 is an unknown user.
        items: their lists, (n, length); −1 is an empty place.
        k: how many.

    Returns:
        Item codes int32 (n, length, k), what brings most first; −1 where no more bring anything: what speaks against
        an item is none of its reasons.

    Raises:
        UsageError: a model registered before ratings were kept with it.
    """
    strongest_items = np.full((*items.shape, k), -1, np.int32)

    def find(first: int) -> None:
        for row in range(first, min(first + _CHUNK, len(users))):
            own, values = ratings_of(rated, int(users[row]))
            listed = np.flatnonzero(items[row] >= 0)
            brought, each = factors.contributions(own, values, items[row, listed]), np.arange(len(listed))
            for place in range(min(k, len(own))):
                # Of equal ones the first.
                best = brought.argmax(axis=1)
                strongest_items[row, listed, place] = np.where(brought[each, best] > 0, own[best], -1)
                brought[each, best] = -np.inf

    # On matrices as small as one user's, BLAS's own threads wait for each other most of the time.
    with one_blas_thread(), ThreadPoolExecutor(n_cores()) as threads:
        list(threads.map(find, range(0, len(users), _CHUNK)))
    return strongest_items
