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


@njit(cache=True, nogil=True, parallel=True)
def top_k(scores: Floats, starts: NDArray[np.int64], rated: Codes, k: int) -> tuple[Codes, Floats]:
    """Columns of the k highest scores of each row, best first, equal scores by column.

    Row r leaves out the columns rated[starts[r]:starts[r + 1]], whose scores are overwritten.
    Where fewer than k are left, −1 and −inf fill up.
    """
    n_rows, n_columns = scores.shape
    best, best_scores = np.empty((n_rows, k), np.int32), np.empty((n_rows, k), np.float32)
    for row in prange(n_rows):
        line = scores[row]
        for n in range(starts[row], starts[row + 1]):
            line[rated[n]] = -np.inf
        heap, heap_items = best_scores[row], best[row]
        for place in range(k):
            heap[place], heap_items[place] = -np.inf, n_columns  # an empty place: worse than any item
        worst = heap[0]
        for column in range(n_columns):
            # Columns come in rising order, so that an equal score is never better than one held.
            if line[column] > worst:
                _sink(heap, heap_items, k, line[column], np.int32(column))
                worst = heap[0]
        for last in range(k - 1, 0, -1):
            score, item = heap[last], heap_items[last]
            heap[last], heap_items[last] = heap[0], heap_items[0]
            _sink(heap, heap_items, last, score, item)
        for place in range(k):
            if heap_items[place] == n_columns:
                heap_items[place] = -1
    return best, best_scores
