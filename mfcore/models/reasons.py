"""Why items are in lists: the rated items that bring most to their scores."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mfcore.errors import UsageError
from mfcore.models.factors import Factors
from mfcore.models.rated import RatedItems

__all__ = ["ratings_of", "strongest"]


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
    # On matrices as small as one user's, BLAS's threads wait for each other most of the time.
    with threadpool_limits(1, "blas"):
        for row, user in enumerate(users):
            own, values = ratings_of(rated, int(user))
            listed = np.flatnonzero(items[row] >= 0)
            brought = factors.contributions(own, values, items[row, listed])
            best = np.argsort(-brought, axis=1, kind="stable")[:, :k]
            is_for = np.take_along_axis(brought, best, axis=1) > 0
            strongest_items[row, listed, : best.shape[1]] = np.where(is_for, own[best], -1)
    return strongest_items
