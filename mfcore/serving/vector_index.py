"""An index of a head's items for approximate search: the only module that knows faiss."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.errors import UsageError
from mfcore.models.factors import Factors
from mfcore.models.lists import top_n
from mfcore.models.rated import RatedItems

__all__ = ["INDEX", "require_faiss", "write_index"]

INDEX = "ranking_items.faiss"
_USERS = 1000
"""Users whose lists tell the recall, at most."""
_LINKS = 32
_EFFORT = 200
"""Candidates held while a place in the graph is looked for."""
_EFFORT_OF_SEARCH = 128
"""The same while it is searched, unless whoever reads the index says otherwise."""


def require_faiss() -> None:
    """Say that there is no faiss before anything is done.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec("faiss") is None:
        raise UsageError("export.index needs faiss: `pip install mfcore[index]`, or leave the setting out.")


def write_index(folder: Path, factors: Factors, rated: RatedItems, k: int) -> dict[str, Any]:
    r"""Write a graph (HNSW) of the items in which the largest inner products are found without looking at all items.

    Item i is [y_i; b_i], and the largest inner products with [x_u; 1] are the best scores. Row i of the index is row i
    of the table of item factors. One column more, with which inner products become cosines, is left out: items with
    short rows, which are most, then lie together at one pole, and on ten million ratings the graph found 17 % of the
    lists' items by it, and all of them without.

    Sources: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable
    small world graphs", TPAMI 42(4), 2020; Morozov, Babenko, "Non-metric similarity graphs for maximum inner product
    search", NeurIPS 2018.

    Args:
        folder: where `INDEX` goes.
        factors: the head.
        rated: what users rated, which is left out before recall is taken.
        k: length of the lists for that.

    Returns:
        For the manifest: file, faiss (its version), k, recall (share of the exact lists' items that it finds, mean over
        users), and n_users, evenly drawn, whom that was measured on; recall is None where nobody has a list.
    """
    import faiss

    rows = np.concatenate([factors.item_factors, factors.item_bias[:, None]], axis=1)
    index = faiss.IndexHNSWFlat(rows.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = _EFFORT, _EFFORT_OF_SEARCH
    users = np.arange(0, len(factors.user_ids), max(1, -(-len(factors.user_ids) // _USERS)), dtype=np.int32)
    with _one_thread(faiss):  # several would make another graph each time
        index.add(rows)
        found = [_recall(index, factors, rated, user, exact) for user, exact in _exact(factors, rated, users, k)]
    faiss.write_index(index, str(folder / INDEX))
    recall = float(np.mean(found)) if found else None
    return {"file": INDEX, "faiss": faiss.__version__, "k": k, "recall": recall, "n_users": len(found)}


def _exact(
    factors: Factors, rated: RatedItems, users: NDArray[np.int32], k: int
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Users and their lists, of those who have one."""
    items, _ = top_n(factors, users, k, rated)
    for user, row in zip(users.tolist(), items, strict=True):
        if row[0] >= 0:
            yield user, row[row >= 0]


def _recall(index: Any, factors: Factors, rated: RatedItems, user: int, exact: NDArray[np.int32]) -> float:
    """Share of a user's list that the index finds, asked for as many more as the user rated."""
    _, own = rated.rows(np.array([user], np.int32))
    query = np.append(factors.user_factors[user], np.float32(1))
    _, found = index.search(query[None], min(len(exact) + len(own), len(factors.item_ids)))
    listed = found[0][~np.isin(found[0], own)][: len(exact)]
    return float(np.isin(exact, listed).mean())


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
