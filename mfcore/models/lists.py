"""Ranked lists from `Factors`: what top-N recommendation and ranking metrics are made of."""

import numpy as np
from numpy.typing import NDArray

from mfcore.models.factors import Factors
from mfcore.models.seen import Seen

__all__ = ["top_items"]

_CHUNK_BYTES = 64 << 20
"""Scores held at a time."""


def top_items(
    factors: Factors, users: NDArray[np.int32], k: int, seen: Seen | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` items with the highest scores for each of `users`, without those they rated in `seen`.

    Exact; of equal scores the lower item code comes first. Works through chunks of users, so
    that memory stays bounded whatever their number.

    Args:
        factors: the model.
        users: codes; −1, an unknown user, gets the list for somebody with no bias and no factors.
        k: length of a list, at least 1.
        seen: over the same codes; these items are left out of their users' lists.

    Returns:
        Items int32 (len(users), k), best first, and their scores float32 of the same shape;
        −1 and −inf where fewer than `k` items are left.
    """
    from mfcore.models.kernels.topk import top_k

    n_items = len(factors.item_ids)
    items = np.empty((len(users), k), np.int32)
    scores = np.empty((len(users), k), np.float32)
    seen = seen or Seen(starts=np.zeros(len(factors.user_ids) + 1, np.int64), items=np.empty(0, np.int32))
    step = max(1, _CHUNK_BYTES // (4 * max(1, n_items)))
    for first in range(0, len(users), step):
        part = slice(first, first + step)
        own = users[part]
        items[part], scores[part] = top_k(factors.scores(own), *seen.rows(own), k)
    return items, scores
