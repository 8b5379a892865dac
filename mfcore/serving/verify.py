"""Whether an export is what its manifest says, and its lists are those of its own factors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ids, find_codes
from mfcore.errors import SourceUnavailable
from mfcore.serving.export import load_export
from mfcore.serving.tables import parts_of
from mfcore.storage.artifacts import read_manifest

__all__ = ["verify_export"]

_TOLERANCE = 1e-4
"""How far a score may be from that of the factors, in units of the greater of 1 and the score."""


def verify_export(folder: Path) -> dict[str, int]:
    """Check an export: bytes by sha256, numbers of rows, ids, ranks, and scores against the factors beside them.

    Returns:
        Rows by file.

    Raises:
        SourceUnavailable: something is not as it has to be; the message names the file and the first row.
    """
    factors, ranking = load_export(folder), load_export(folder, "ranking")
    manifest = read_manifest(folder)
    has_list = np.zeros(len(ranking.user_ids), np.bool_)
    for lists, path in _files(folder, "recommendations", manifest):
        users, items = _known(ranking.user_ids, lists["user_id"]), _known(ranking.item_ids, lists["item_id"])
        _require(path, (users >= 0) & (items >= 0), "an id that the factors don't have")
        _require(path, ~has_list[users], "a user who has a list in a file before")
        has_list[users] = True
        _require(path, _ranks_are_right(lists, "user_id", "item_id"), "a wrong rank, or an item twice")
        scores = ranking.pair_scores(users, items)
        wrong = np.abs(scores - lists["score"].to_numpy()) > _TOLERANCE * np.maximum(1, np.abs(scores))
        _require(path, ~wrong, "a score that is not that of the factors")
        ratings = lists["predicted_rating"].to_numpy()
        wrong = np.abs(factors.predict(users, items) - ratings) > _TOLERANCE * max(1, abs(factors.scale.maximum))
        _require(path, ~wrong, "a predicted rating that is not that of the factors")
    for near, path in _files(folder, "similar_items", manifest):
        items, others = _known(factors.item_ids, near["item_id"]), _known(factors.item_ids, near["other_item_id"])
        _require(path, (items >= 0) & (others >= 0), "an id that the factors don't have")
        _require(path, items != others, "an item that is similar to itself")
        _require(path, _ranks_are_right(near, "item_id", "other_item_id"), "a wrong rank, or an item twice")
        _require(path, np.abs(near["cosine"].to_numpy()) <= 1, "a cosine beyond 1")
    return {name: int(rows) for name, rows in manifest["rows"].items()}


def _files(folder: Path, name: str, manifest: dict[str, Any]) -> Iterator[tuple[pd.DataFrame, Path]]:
    """A table's files, each with as many rows as its manifest says."""
    for columns, path in parts_of(folder, name):
        table, expected = pd.DataFrame(columns), manifest["rows"][path.name]
        if len(table) != expected:
            raise SourceUnavailable(f"{path} has {len(table):,} rows, its manifest {expected:,}.")
        yield table, path


def _known(ids: Ids, column: "pd.Series[Any]") -> NDArray[np.int32]:
    return find_codes(ids, column.to_numpy())


def _ranks_are_right(table: pd.DataFrame, of: str, item: str) -> NDArray[np.bool_]:
    """Whether each row's rank is its place, from 1, in its list, and its item is not listed before."""
    place = table.groupby(of, sort=False).cumcount() + 1
    right: NDArray[np.bool_] = ((table["rank"] == place) & ~table.duplicated([of, item])).to_numpy()
    return right


def _require(path: Path, right: NDArray[np.bool_], otherwise: str) -> None:
    if not right.all():
        row = int(np.argmin(right))
        raise SourceUnavailable(f"{path} has {otherwise} in row {row:,}. Make it again with `mfcore export`.")
