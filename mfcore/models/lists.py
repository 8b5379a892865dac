"""Ranked lists from `Factors`: the best items for users, and the items nearest to items."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.models.factors import Factors
from mfcore.models.rated import RatedItems

__all__ = ["FEWEST_RATINGS", "Likeness", "directions", "similar_items", "top_items", "top_k_for", "top_n"]

Lists = tuple[NDArray[np.int32], NDArray[np.float32]]
TopK = Callable[..., Lists]
"""Scores (n, n_items), where each row's left-out columns begin in the next one, these, k, and what is added to each
column and row → columns, scores."""

FEWEST_RATINGS = 5
"""Ratings that an item needs to be named as similar to another one, unless told otherwise."""

_CHUNK_BYTES = 64 << 20
"""Scores held at a time."""
_CHUNK = 1024
"""Items whose neighbors are looked for at a time."""
_FEW, _FEW_AT_FIRST = 16, 1000
"""Rows for which numpy is as good as the kernel; and as the kernel is where it has to be loaded, or compiled, first."""
_KERNEL = "mfcore.models.kernels.topk"
_SUPPORT = 20
"""Ratings of an item at which what its factors say of likeness counts half."""


def top_items(
    factors: Factors,
    users: NDArray[np.int32],
    k: int,
    rated: RatedItems | None = None,
    allowed: NDArray[np.bool_] | None = None,
    penalty: NDArray[np.float32] | None = None,
    caution: float = 0.0,
) -> Lists:
    """The `k` items with the highest scores for each of `users`, without those they rated in `rated`.

    Exact; of equal scores the lower item code comes first. Works through chunks of users, so
    that memory stays bounded whatever their number.

    Args:
        factors: the model.
        users: codes; −1, an unknown user, gets the list for somebody with no bias and no factors.
        k: length of a list, at least 1.
        rated: over the same codes; these items are left out of their users' lists.
        allowed: (n_items,); whether an item may be listed at all; None: every one may.
        penalty: (n_items,); taken off the scores, in standard deviations of each user's scores.
        caution: taken off each score, in standard deviations of it over the model's draws (`Factors.deviations`).

    Returns:
        Items int32 (len(users), k), best first, and their scores float32 of the same shape;
        −1 and −inf where fewer than `k` items are left.
    """
    n_items = len(factors.item_ids)
    items = np.empty((len(users), k), np.int32)
    scores = np.empty((len(users), k), np.float32)
    rated = rated or RatedItems(starts=np.zeros(len(factors.user_ids) + 1, np.int64), items=np.empty(0, np.int32))
    top_k = top_k_for(len(users))
    step = max(1, _CHUNK_BYTES // (4 * max(1, n_items)))
    # One room for all chunks: a new one would cost as much as a pass over it.
    room = np.empty((min(step, len(users)), n_items), np.float32)
    is_plain = penalty is None and not (caution and factors.n_draws > 1)
    bias = factors.item_bias if is_plain else np.zeros(n_items, np.float32)
    if allowed is not None:
        bias = np.where(allowed, bias, np.float32(-np.inf))
    for first in range(0, len(users), step):
        part = slice(first, first + step)
        own = users[part]
        all_scores, offsets = factors.products(own, room[: len(own)]), factors.offsets(own)
        if not is_plain:
            all_scores += factors.item_bias
            all_scores += offsets[:, None]
            offsets = np.zeros_like(offsets)
        if penalty is not None:
            all_scores -= all_scores.std(axis=1, keepdims=True) * penalty
        if caution and factors.n_draws > 1:
            all_scores -= np.float32(caution) * factors.deviations(own)
        items[part], scores[part] = top_k(all_scores, *rated.rows(own), k, bias, offsets)
    return items, scores


def top_n(
    factors: Factors,
    users: NDArray[np.int32],
    k: int,
    rated: RatedItems | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Lists:
    """The `k` items with the highest scores for each user, without those in `rated`.

    Scores are those of `Factors.scores`: before clipping to the scale, which would tie the best
    (`Factors.to_ratings` gives the predicted ratings). Of equal scores the lower item code
    comes first.

    Args:
        factors: the model.
        users: int32 codes; −1 is an unknown user.
        k: length of a list.
        rated: what each user has rated, over the same codes.
        allowed: (n_items,); whether an item may be listed at all; None: every one may.

    Returns:
        Item codes int32 (len(users), k), best first and −1 where items run out; scores float32
        of the same shape, NaN where items run out.

    >>> from mfcore.data.ratings import Scale
    >>> zero = np.zeros((2, 1), np.float32)
    >>> bias = np.array([0.0, 0.5], np.float32)
    >>> factors = Factors(3.0, zero[:, 0], bias, zero, zero, np.arange(2), np.arange(2), Scale(1, 5, 1))
    >>> items, scores = top_n(factors, np.array([0], np.int32), 3)
    >>> items.tolist(), scores.tolist()
    ([[1, 0, -1]], [[3.5, 3.0, nan]])
    """
    items, scores = top_items(factors, users, k, rated, allowed)
    scores[items < 0] = np.nan
    return items, scores


@dataclass(frozen=True, eq=False)
class Likeness:
    """What items are found alike by, to be made once.

    Attributes:
        unit: float32, (n_items, c); `directions` of the model.
        has_factors: bool, (n_items + 1,); which items have any; the last answers for code −1.
        candidates: int32; codes of the items that may be neighbors.
        toward: float32, (len(candidates), c); their directions, shrunk where they have few ratings.
        place: int64, (n_items + 1,); each item's place among the candidates, −1 for none; the last for code −1.
    """

    unit: NDArray[np.float32]
    has_factors: NDArray[np.bool_]
    candidates: NDArray[np.int32]
    toward: NDArray[np.float32]
    place: NDArray[np.int64]

    @classmethod
    def of(
        cls, factors: Factors, counts: NDArray[np.int64] | None = None, min_ratings: int = FEWEST_RATINGS
    ) -> "Likeness":
        """By a model, and how often each item was rated.

        Args:
            factors: the model.
            counts: n, (n_items,); None: nothing is shrunk or left out.
            min_ratings: items rated less often than this are no neighbors.
        """
        unit = directions(factors)
        has_factors = np.append(unit.any(axis=1), False)
        is_candidate = has_factors[:-1] if counts is None else has_factors[:-1] & (counts >= min_ratings)
        candidates = np.flatnonzero(is_candidate).astype(np.int32)
        place = np.full(len(unit) + 1, -1, np.int64)
        place[candidates] = np.arange(len(candidates))
        toward = unit[candidates]
        if counts is not None:
            toward *= (counts[candidates] / (counts[candidates] + _SUPPORT)).astype(np.float32)[:, None]
        return cls(unit, has_factors, candidates, toward, place)


def similar_items(likeness: Likeness, items: NDArray[np.int32], k: int) -> Lists:
    r"""The `k` items whose factors are most alike each of `items`, best first, itself left out.

    Likeness of items i and j is the mean of the cosines of their factors over the parts of the model,
    draws or members of a blend, each part weighted as it is in the scores,

        Σ_p w_p cos(y_ip, y_jp) / Σ_p w_p,

    times n_j / (n_j + 20) where it is known how often j was rated: factors of rarely rated
    items are mostly what their few ratings happened to be. An item without factors (all zero, as
    items nobody rated have) is similar to none, and none to it.

    Args:
        likeness: of the model.
        items: int32 codes; −1 is an unknown item.
        k: number of neighbors.

    Returns:
        Item codes int32 (len(items), k), −1 where others run out; likeness float32 of the same
        shape, from −1 to 1, NaN where others run out.
    """
    unit, candidates, place = likeness.unit, likeness.candidates, likeness.place
    top_k = top_k_for(len(items))
    others = np.full((len(items), k), -1, np.int32)
    cosines = np.full((len(items), k), np.nan, np.float32)
    for first in range(0, len(items), _CHUNK):
        part = np.arange(first, min(first + _CHUNK, len(items)))
        part = part[likeness.has_factors[items[part]]]
        own = place[items[part]]
        starts = np.concatenate(([0], np.cumsum(own >= 0)))
        best, values = top_k(unit[items[part]] @ likeness.toward.T, starts, own[own >= 0].astype(np.int32), k)
        filled = best >= 0
        others[part] = np.where(filled, candidates.take(best, mode="clip") if len(candidates) else -1, -1)
        cosines[part] = np.where(filled, np.clip(values, -1, 1), np.nan)
    return others, cosines


def top_k_for(n_rows: int) -> TopK:
    """`kernels.topk.top_k`, or the same by numpy: for few rows, and where numba is not installed, as beside a model."""
    if n_rows <= (_FEW if _KERNEL in sys.modules else _FEW_AT_FIRST):
        return _top_k_by_numpy
    try:
        from mfcore.models.kernels.topk import top_k
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return _top_k_by_numpy
    kernel: TopK = top_k
    return kernel


def _top_k_by_numpy(
    scores: NDArray[np.float32],
    starts: NDArray[np.int64],
    rated: NDArray[np.int32],
    k: int,
    bias: NDArray[np.float32] | None = None,
    offsets: NDArray[np.float32] | None = None,
) -> Lists:
    if bias is not None:
        scores += bias
    if offsets is not None:
        scores += offsets[:, None]
    best = np.full((len(scores), k), -1, np.int32)
    best_scores = np.full((len(scores), k), -np.inf, np.float32)
    for row, line in enumerate(scores):
        line[rated[starts[row] : starts[row + 1]]] = -np.inf
        line[np.isnan(line)] = -np.inf
        least = max(0, len(line) - k)
        # Everything that ties with the k-th stays, for the lower column to win.
        columns = np.flatnonzero(line >= np.partition(line, least)[least]) if len(line) else best[row, :0]
        columns = columns[np.argsort(-line[columns], kind="stable")[:k]]
        columns = columns[line[columns] > -np.inf]
        best[row, : len(columns)] = columns
        best_scores[row, : len(columns)] = line[columns]
    return best, best_scores


def directions(factors: Factors) -> NDArray[np.float32]:
    """Items as vectors whose products are their weighted mean cosines; zeros where one has no factors."""
    parts = [(part.columns, part.n_factors, part.weight) for part in factors.parts if part.n_factors]
    parts = parts or [(factors.n_factors, factors.n_factors, 1.0)]
    total = sum(weight for _, _, weight in parts)
    result, first = [], 0
    for columns, n_factors, weight in parts:
        rows = factors.item_factors[:, first : first + n_factors].astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        share = weight / total if total > 0 else 0.0
        result.append((np.sqrt(share) * rows / np.where(lengths > 0, lengths, 1)).astype(np.float32))
        first += columns
    return np.ascontiguousarray(np.concatenate(result, axis=1))
