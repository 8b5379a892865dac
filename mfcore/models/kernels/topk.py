"""The k best of each row of scores, in a fixed order."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

__all__ = ["top_k"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]


@njit(cache=True)
def _sink(scores: Floats, items: Codes, size: int, score: np.float32, item: np.int32) -> None:
    """Replace the worst of a heap of `size` by (score, item); the worst is on top."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            scores[right] < scores[child] or (scores[right] == scores[child] and items[right] > items[child])
        ):
            child = right
        if scores[child] > score or (scores[child] == score and items[child] < item):
            break
        scores[place], items[place] = scores[child], items[child]
        place = child
    scores[place], items[place] = score, item


def top_k(
    scores: Floats,
    starts: NDArray[np.int64],
    rated: Codes,
    k: int,
    bias: Floats | None = None,
    offsets: Floats | None = None,
) -> tuple[Codes, Floats]:
    """Columns of the k highest of scores + `bias` of the column + offset of the row, best first, equal ones by column.

    Row r leaves out the columns rated[starts[r]:starts[r + 1]], whose scores are overwritten.
    Where fewer than k are left, −1 and −inf fill up. What is added is added on the way: a pass over the scores by
    itself would take half as long as their product.
    """
    n_rows, n_columns = scores.shape
    bias = np.zeros(n_columns, np.float32) if bias is None else bias
    offsets = np.zeros(n_rows, np.float32) if offsets is None else offsets
    best: tuple[Codes, Floats] = _top_k(scores, starts, rated, k, bias, offsets)
    return best


@njit(cache=True, nogil=True, parallel=True)
def _top_k(
    scores: Floats, starts: NDArray[np.int64], rated: Codes, k: int, bias: Floats, offsets: Floats
) -> tuple[Codes, Floats]:
    n_rows, n_columns = scores.shape
    best, best_scores = np.empty((n_rows, k), np.int32), np.empty((n_rows, k), np.float32)
    for row in prange(n_rows):
        line = scores[row]
        for n in range(starts[row], starts[row + 1]):
            line[rated[n]] = -np.inf
        heap, heap_items = best_scores[row], best[row]
        for place in range(k):
            heap[place], heap_items[place] = -np.inf, n_columns  # an empty place: worse than any item
        worst, offset = heap[0], offsets[row]
        for column in range(n_columns):
            # Columns come in rising order, so that an equal score is never better than one held.
            score = line[column] + bias[column] + offset
            if score > worst:
                _sink(heap, heap_items, k, score, np.int32(column))
                worst = heap[0]
        for last in range(k - 1, 0, -1):
            score, item = heap[last], heap_items[last]
            heap[last], heap_items[last] = heap[0], heap_items[0]
            _sink(heap, heap_items, last, score, item)
        for place in range(k):
            if heap_items[place] == n_columns:
                heap_items[place] = -1
    return best, best_scores
