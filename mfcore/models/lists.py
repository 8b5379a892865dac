"""Ranked lists from `Factors`: the best items for users, and the items nearest to items."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.machine import one_blas_thread
from mfcore.models.factors import Factors
from mfcore.models.rated import RatedItems

__all__ = ["FEWEST_RATINGS", "Likeness", "directions", "similar_items", "top_items", "top_k", "top_n"]

Lists = tuple[NDArray[np.int32], NDArray[np.float32]]

FEWEST_RATINGS = 5
"""Ratings that an item needs to be named as similar to another one, unless told otherwise."""

BLOCK_ROWS, BLOCK_COLUMNS = 128, 2048
"""Scores made and looked through at a time: a megabyte, which stays in a core's cache."""
_WHOLE_ROWS_BYTES = 16 << 20
"""Scores made at a time where they are needed of all items at once."""
_FEW, _FEW_AT_FIRST = 16, 1000
"""Rows for which numpy is as good as the kernel; and as the kernel is where it has to be loaded, or compiled, first."""
_KERNEL = "mfcore.models.kernels.topk"
_SUPPORT = 20
"""Ratings of an item at which what its factors say of likeness counts half."""


@dataclass(frozen=True, eq=False)
class _Rows:
    """Some rows of scores, to be made a block of columns at a time.

    Attributes:
        scores: columns → scores, float32, (n, number of columns).
        starts: int64, (n + 1,); where in `left_out` each row begins.
        left_out: int32; codes of the columns that rows leave out.
        offsets: float32, (n,); added to all scores of a row.
    """

    scores: Callable[[slice], NDArray[np.float32]]
    starts: NDArray[np.int64]
    left_out: NDArray[np.int32]
    offsets: NDArray[np.float32]


def _best(
    rows: Callable[[slice], _Rows], n_rows: int, k: int, bias: NDArray[np.float32], *, whole_rows: bool = False
) -> Lists:
    """Columns of the `k` highest of scores + biases of columns + offsets of rows, best first, equal ones by column.

    −1 and −inf where fewer than `k` are left. Memory is bounded, whatever the number of rows.

    Args:
        rows: what to rank, by a slice of rows.
        n_rows: how many there are.
        k: length of a list.
        bias: (n_columns,); −inf for columns that no list may have.
        whole_rows: have scores made of all columns at once.
    """
    n_columns = len(bias)
    best, best_scores = np.empty((n_rows, k), np.int32), np.empty((n_rows, k), np.float32)
    kernel = _kernel_for(n_rows)
    width = max(1, n_columns) if whole_rows else BLOCK_COLUMNS
    height = max(1, min(BLOCK_ROWS, _WHOLE_ROWS_BYTES // (4 * width)))

    def rank(first: int, last: int) -> None:
        for start in range(first * height, min(last * height, n_rows), height):
            part = slice(start, min(start + height, n_rows))
            some = rows(part)
            blocks = [slice(column, min(column + width, n_columns)) for column in range(0, n_columns, width)]
            if kernel is None:
                # Products of other blocks would have other last bits.
                whole = np.concatenate([np.empty((len(best[part]), 0), np.float32), *map(some.scores, blocks)], axis=1)
                best[part], best_scores[part] = _best_by_numpy(whole, some, k, bias)
                continue
            at, ends, heaps = some.starts[:-1].copy(), some.starts[1:], (best[part], best_scores[part])
            kernel.begin(*heaps, some.starts, some.left_out)
            for block in blocks:
                kernel.scan(some.scores(block), block.start, bias[block], some.offsets, some.left_out, at, ends, *heaps)
            kernel.end(*heaps)

    n_blocks = -(-n_rows // height)
    with one_blas_thread():
        if kernel is None:
            rank(0, n_blocks)
        else:
            from mfcore.models.kernels.threads import share

            share(n_blocks, rank)
    return best, best_scores


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
    rated = rated or RatedItems(starts=np.zeros(len(factors.user_ids) + 1, np.int64), items=np.empty(0, np.int32))
    is_cautious = caution != 0 and factors.n_draws > 1
    changes_scores = penalty is not None or is_cautious

    def rows(part: slice) -> _Rows:
        own = users[part]
        starts, left_out = rated.rows(own)
        if not changes_scores:
            return _Rows(_products(factors.rows(own), factors.item_factors), starts, left_out, factors.offsets(own))
        scores = factors.scores(own)
        if penalty is not None:
            scores -= scores.std(axis=1, keepdims=True) * penalty
        if is_cautious:
            scores -= np.float32(caution) * factors.deviations(own)
        return _Rows(lambda columns: scores[:, columns], starts, left_out, np.zeros(len(own), np.float32))

    bias = np.zeros(n_items, np.float32) if changes_scores else factors.item_bias
    if allowed is not None:
        bias = np.where(allowed, bias, np.float32(-np.inf))
    return _best(rows, len(users), k, bias, whole_rows=changes_scores)


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
    asked = np.flatnonzero(likeness.has_factors[items])

    def rows(part: slice) -> _Rows:
        own = items[asked[part]]
        starts, itself = np.append(0, np.cumsum(place[own] >= 0)), place[own][place[own] >= 0].astype(np.int32)
        return _Rows(_products(unit[own], likeness.toward), starts, itself, np.zeros(len(own), np.float32))

    best, values = _best(rows, len(asked), k, np.zeros(len(candidates), np.float32))
    others = np.full((len(items), k), -1, np.int32)
    cosines = np.full((len(items), k), np.nan, np.float32)
    if len(candidates):
        others[asked] = np.where(best >= 0, candidates[best], -1)
        cosines[asked] = np.where(best >= 0, np.clip(values, -1, 1), np.nan)
    return others, cosines


def top_k(scores: NDArray[np.float32], starts: NDArray[np.int64], left_out: NDArray[np.int32], k: int) -> Lists:
    """Columns of the `k` highest of scores that are there already, best first, equal ones by column, and these scores.

    Row r leaves out the columns `left_out[starts[r]:starts[r + 1]]`; −1 and −inf fill up where fewer than `k` are left.

    >>> scores = np.array([[1, 3, 2], [5, 5, 4]], np.float32)
    >>> top_k(scores, np.array([0, 1, 1]), np.array([1], np.int32), 2)[0].tolist()
    [[2, 0], [0, 1]]
    """

    def rows(part: slice) -> _Rows:
        some, bounds = scores[part], starts[part.start : part.stop + 1]
        own = left_out[bounds[0] : bounds[-1]].copy()
        return _Rows(lambda columns: some[:, columns], bounds - bounds[0], own, np.zeros(len(some), np.float32))

    return _best(rows, len(scores), k, np.zeros(scores.shape[1], np.float32), whole_rows=True)


def _products(x: NDArray[np.float32], y: NDArray[np.float32]) -> Callable[[slice], NDArray[np.float32]]:
    return lambda columns: x @ y[columns].T


def _kernel_for(n_rows: int) -> Any:
    """`kernels.topk`; None, for numpy: for few rows, and where numba is not installed, as beside a model."""
    if n_rows <= (_FEW if _KERNEL in sys.modules else _FEW_AT_FIRST):
        return None
    try:
        from mfcore.models.kernels import topk
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None
    return topk


def _best_by_numpy(scores: NDArray[np.float32], rows: _Rows, k: int, bias: NDArray[np.float32]) -> Lists:
    scores += bias
    scores += rows.offsets[:, None]
    best = np.full((len(scores), k), -1, np.int32)
    best_scores = np.full((len(scores), k), -np.inf, np.float32)
    for row, line in enumerate(scores):
        line[rows.left_out[rows.starts[row] : rows.starts[row + 1]]] = -np.inf
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
