"""Lists by more than the score: fewer popular items, no genre or bucket in excess, unlike neighbors, two models."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.config import Levers
from mfcore.models.factors import Factors
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems

__all__ = ["ItemGroups", "in_turns", "ranked", "thirds"]

_POOL = 200
"""Items with the best scores that a list is chosen from, at least; ten times its length if that is more."""
_CHUNK_BYTES = 64 << 20
"""What is held of candidates at a time."""


def thirds(n_ratings: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which items are in each of three popularity buckets, (n_items, 3).

    The most rated items that hold a third of all ratings, those that hold the next third, and the rest.

    >>> thirds(np.array([1, 6, 3, 2])).astype(int).tolist()
    [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    """
    order = np.argsort(-n_ratings, kind="stable")
    before = np.cumsum(n_ratings[order]) - n_ratings[order]
    bucket = np.empty(len(order), np.int64)
    bucket[order] = np.minimum(3 * before // max(1, n_ratings.sum()), 2)
    among: NDArray[np.bool_] = bucket[:, None] == np.arange(3)
    return among


@dataclass(frozen=True, eq=False)
class ItemGroups:
    """What levers know of items.

    Attributes:
        n_ratings: (n_items,); how often each was rated.
        genres: (n_items, n_genres); which genres it has; without columns where no lever asks.
        unit: (n_items, f); vectors whose products are items' likeness, as `directions` makes them; likewise.
    """

    n_ratings: NDArray[np.int64]
    genres: NDArray[np.bool_]
    unit: NDArray[np.float32]


def ranked(
    factors: Factors,
    users: NDArray[np.int32],
    k: int,
    rated: RatedItems | None,
    allowed: NDArray[np.bool_],
    levers: Levers,
    groups: ItemGroups,
    neighbors: Factors | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    r"""Lists of `k` items for each user, as `top_n` makes them where no lever is set.

    The popularity penalty p and the caution c make of the score s_ui

        r_ui = s_ui − p σ_u ln(1 + n_i) / ln(1 + max n) − c δ_ui,

    σ_u being the standard deviation of the user's scores, and δ_ui that of this one over the model's draws. Of the 200
    best by r (10 k if that is more) a list then takes, place by place, the item that no full group holds and that is
    greatest in

        (1 − d) ρ_ui − d max_j cos(y_i, y_j),

    with d the diversity, ρ_ui = r_ui on a scale from 0 to 1 over the user's candidates, and j the items above. A
    group, a genre or a popularity bucket, is full when it has its share of the k places, rounded down, one at least.
    Where full groups leave a list short, it is made again from twice as many candidates, until no item is left.

    With `neighbors` the candidates are those of both models, in turns (`in_turns`), and ρ falls evenly from the first
    of them to the last.

    Source: Carbonell, Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
    summaries", SIGIR 1998.

    Args:
        factors: what scores.
        users: codes; −1 is an unknown user.
        k: length of a list.
        rated: what to leave out for each user.
        allowed: (n_items,); what may be listed at all.
        levers: how the list is made; `where` is in `allowed` already.
        groups: what items have in common.
        neighbors: the second model, over the same users and items; None: there is none.

    Returns:
        Items int32 (len(users), k), −1 where items run out; their scores s float32, NaN there.
    """
    weight = np.float32(levers.popularity_penalty)
    penalty = weight * _prominence(groups.n_ratings) if weight else None
    member, most = _limits(k, levers, groups)
    items = np.full((len(users), k), -1, np.int32)

    def candidates(users: NDArray[np.int32], size: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        pool, scores = top_items(factors, users, size, rated, allowed, penalty, levers.caution)
        if neighbors is None:
            return pool, scores
        others, _ = top_items(neighbors, users, size, rated, allowed, penalty, levers.caution)
        return in_turns(pool, others, levers.knn_share), np.broadcast_to(-np.arange(size, dtype=np.float32), pool.shape)

    if not levers.diversity and member.shape[1] == 0:
        items, _ = candidates(users, k)
    else:
        n_allowed = int(np.count_nonzero(allowed))
        size, open_rows = max(_POOL, 10 * k), np.arange(len(users))
        while len(open_rows):
            size = min(size, max(1, n_allowed))
            step = max(1, _CHUNK_BYTES // (size * (4 * groups.unit.shape[1] + member.shape[1] + 64)))
            for first in range(0, len(open_rows), step):
                rows = open_rows[first : first + step]
                pool, scores = candidates(users[rows], size)
                items[rows] = _chosen(pool, scores, k, levers.diversity, groups.unit, member, most)
            if size >= n_allowed:
                break
            open_rows, size = open_rows[(items[open_rows] < 0).any(axis=1)], 2 * size
    return items, factors.list_scores(users, items)


def in_turns(first: NDArray[np.int32], second: NDArray[np.int32], share: float) -> NDArray[np.int32]:
    """Two lists of each user as one: item n of the first comes at n / (1 − share), of the second at n / share.

    Of an item in both the later place is dropped; of equal places the first list's comes first.

    Args:
        first: items, (n, size), no item twice in a list, −1 at its end where there are none.
        second: the same.
        share: of the second list, from 0 to 1.

    Returns:
        (n, size); −1 where both run out.

    >>> in_turns(np.array([[1, 2, 3, 4]], np.int32), np.array([[1, 5, 2, 6]], np.int32), 0.5).tolist()
    [[1, 2, 5, 3]]
    """
    size = first.shape[1]
    with np.errstate(divide="ignore"):
        places = np.concatenate([np.arange(1, size + 1) / np.float64(part) for part in (1 - share, share)])
    items = np.concatenate([first, second], axis=1)[:, np.argsort(places, kind="stable")]
    by_item = np.argsort(items, axis=1, kind="stable")
    again = np.take_along_axis(items, by_item, axis=1)
    dropped = np.zeros(items.shape, np.bool_)
    np.put_along_axis(dropped, by_item[:, 1:], again[:, 1:] == again[:, :-1], axis=1)
    order = np.argsort(dropped | (items < 0), axis=1, kind="stable")[:, :size]
    merged: NDArray[np.int32] = np.where(
        np.take_along_axis(dropped, order, axis=1), -1, np.take_along_axis(items, order, axis=1)
    )
    return merged


def _prominence(n_ratings: NDArray[np.int64]) -> NDArray[np.float32]:
    """How well items are known, from 0 to 1."""
    logarithm = np.log1p(n_ratings)
    share: NDArray[np.float32] = (logarithm / max(logarithm.max(initial=0), np.finfo(float).tiny)).astype(np.float32)
    return share


def _limits(k: int, levers: Levers, groups: ItemGroups) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Groups that must not be in excess, (n_items, n_groups), and how many places each may have."""
    limited = [(groups.genres, levers.max_genre_share)] if levers.max_genre_share < 1 else []
    # Buckets take longer to tell apart than a list to make.
    if levers.max_popularity_share < 1:
        limited.append((thirds(groups.n_ratings), levers.max_popularity_share))
    member = np.concatenate([columns for columns, _ in limited] or [groups.genres[:, :0]], axis=1)
    most = [max(1, int(share * k + 1e-9)) for columns, share in limited for _ in range(columns.shape[1])]
    return member, np.array(most, np.int64)


def _chosen(
    pool: NDArray[np.int32],
    scores: NDArray[np.float32],
    k: int,
    diversity: float,
    unit: NDArray[np.float32],
    member: NDArray[np.bool_],
    most: NDArray[np.int64],
) -> NDArray[np.int32]:
    """For each row of candidates, best first and −1 where there are none, the list of `k` of them."""
    rows, free = np.arange(len(pool)), pool >= 0
    lowest = np.where(free, scores, np.inf).min(axis=1, keepdims=True)
    spread = scores[:, :1] - lowest
    value = np.where(free, (scores - lowest) / np.where(spread > 0, spread, 1), 0).astype(np.float32)
    value *= np.float32(1 - diversity)
    nearest = np.full(pool.shape, -1, np.float32)
    of_pool, vectors = member[pool], unit[pool] if diversity else None
    n_taken = np.zeros((len(pool), member.shape[1]), np.int64)
    items = np.full((len(pool), k), -1, np.int32)
    for place in range(min(k, pool.shape[1])):
        able = free & ~(of_pool & (n_taken >= most)[:, None, :]).any(axis=2)
        worth = np.where(able, value - np.float32(diversity) * nearest, -np.inf)
        best = worth.argmax(axis=1)
        choice = able[rows, best]
        items[:, place] = np.where(choice, pool[rows, best], -1)
        free[rows[choice], best[choice]] = False
        n_taken[choice] += of_pool[rows[choice], best[choice]]
        if vectors is not None:
            nearest = np.maximum(nearest, np.einsum("npf,nf->np", vectors, vectors[rows, best]))
    return items
