"""The k best of each row of scores, in a fixed order: a heap a row, to which blocks of columns come in turn."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["begin", "end", "scan"]

Floats = NDArray[np.float32]
Codes = NDArray[np.int32]
Places = NDArray[np.int64]

_EMPTY = np.int32(np.iinfo(np.int32).max)
"""An empty place of a heap: worse than any item of the same score."""
_RUN = 64
"""Columns that are compared with the worst of a heap at once."""


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


@njit(cache=True, nogil=True)
def begin(best: Codes, best_scores: Floats, starts: Places, rated: Codes) -> None:
    """Empty the heaps, and put what a row leaves out, `rated[starts[row]:starts[row + 1]]`, in order."""
    best[:] = _EMPTY
    best_scores[:] = -np.inf
    for row in range(len(best)):
        own = rated[starts[row] : starts[row + 1]]
        for place in range(1, len(own)):
            if own[place] < own[place - 1]:
                own.sort()
                break


@njit(cache=True, nogil=True)
def scan(
    scores: Floats,
    first: int,
    bias: Floats,
    offsets: Floats,
    rated: Codes,
    at: Places,
    ends: Places,
    best: Codes,
    best_scores: Floats,
) -> None:
    """Offer the heaps the scores of the columns from `first` on, plus bias of the column and offset of the row.

    Blocks of columns come in rising order. Row r leaves out `rated[at[r]:ends[r]]`: their scores are
    overwritten, and `at` moves on behind them. Biases are added here, since a pass over the scores by
    itself would take half as long as their product.
    """
    n_rows, n_columns = scores.shape
    for row in range(n_rows):
        line, offset = scores[row], offsets[row]
        while at[row] < ends[row] and rated[at[row]] < first + n_columns:
            line[rated[at[row]] - first] = -np.inf
            at[row] += 1
        heap, heap_items = best_scores[row], best[row]
        k = len(heap)
        worst = heap[0]
        for start in range(0, n_columns, _RUN):
            run, run_bias = line[start : start + _RUN], bias[start : start + _RUN]
            # Hardly any run holds a better one. This loop without branches takes one step for many columns.
            is_any_better = False
            for place in range(len(run)):
                is_any_better |= run[place] + run_bias[place] + offset > worst
            if not is_any_better:
                continue
            for place in range(len(run)):
                # Columns come in rising order, so that an equal score is never better than one held.
                score = run[place] + run_bias[place] + offset
                if score > worst:
                    _sink(heap, heap_items, k, score, np.int32(first + start + place))
                    worst = heap[0]


@njit(cache=True, nogil=True)
def end(best: Codes, best_scores: Floats) -> None:
    """Sort the heaps, best first, equal ones by column; −1 and −inf fill up where there were fewer than k."""
    n_rows, k = best.shape
    for row in range(n_rows):
        heap, heap_items = best_scores[row], best[row]
        for last in range(k - 1, 0, -1):
            score, item = heap[last], heap_items[last]
            heap[last], heap_items[last] = heap[0], heap_items[0]
            _sink(heap, heap_items, last, score, item)
        for place in range(k):
            if heap_items[place] == _EMPTY:
                heap_items[place] = -1
