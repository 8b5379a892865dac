"""Raw files into the canonical frame, each format in its true form."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfcore.config import DatasetConfig
from mfcore.data import jester, movielens, published
from mfcore.data.ids import INTEGER, id_text
from mfcore.data.own import may_be_table, read_table
from mfcore.data.ratings import Scale
from mfcore.data.tables import RawRatings
from mfcore.errors import DataInvalid, UsageError, counted, listed
from mfcore.storage.artifacts import MANIFEST

__all__ = ["Tables", "read", "recognize"]


@dataclass(frozen=True, eq=False)
class Tables:
    """What was read, before any check.

    Attributes:
        ratings: user_id, item_id (int64, or text where one is not a plain integer), rating
            (float64) and, where there is one, timestamp (int64, seconds since 1970). The index
            is the row's number in the source. Missing and unreadable values are kept as missing.
        items: item_id, title and what else is known (genres, url); None where nothing is.
        scale: the rating scale, where the data set has a known one.
        unread: row, column ("rating", "timestamp" or "row") and text of what could not be read.
        origin: where the ratings come from, for messages.
        notes: how the files were understood and what was normalized, a sentence each.
        given: what the configuration says of the scale: minimum, maximum, step.
    """

    ratings: pd.DataFrame
    items: pd.DataFrame | None
    scale: Scale | None
    unread: pd.DataFrame
    origin: str
    notes: tuple[str, ...] = ()
    given: Mapping[str, float] = field(default_factory=dict)


def recognize(folder: Path) -> str:
    """The format of the raw files in `folder`, by what is there.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "u.data").write_text("")
    ...     recognize(Path(folder))
    'ml-100k'

    Raises:
        DataInvalid: nothing in it is of a known format.
    """
    for name, format_ in _FORMATS.items():
        if format_.is_here(folder):
            return name
    files = sorted(path.name for path in _files(folder))
    if len(files) == 1 or any(map(may_be_table, files)):
        return _TABLE
    raise DataInvalid(
        f"no ratings found among {listed(files, most=8) if files else 'no files at all'}: "
        "give a table as CSV, Parquet, JSON or .xlsx, its parts, or the unpacked files of a known data set."
    )


def read(folder: Path, details: Mapping[str, Any], config: DatasetConfig) -> Tables:
    """Read the raw files that `mfcore.data.sources.fetch` put into `folder`.

    Args:
        folder: the raw files.
        details: what `fetch` returned.
        config: names the columns of a file of one's own, and the scale where it is given.

    Raises:
        DataInvalid: the files can't be read as ratings; the message says which, why and what to do.
        UsageError: columns are named of files that name their own.
    """
    origin = str(details["origin"])
    name = details["format"]
    if name == _TABLE:
        raw, items = read_table([path for path in _files(folder)], origin, config), None
    else:
        _refuse_columns(name, config)
        raw, items = _FORMATS[name].read(folder, origin)
    if items is None and raw.titles is not None:
        items = pd.DataFrame({"item_id": raw.titles.index, "title": raw.titles.to_numpy()})
    if items is not None:
        items = _same_ids(items, raw.frame)
    frame, unrated = _rated(raw.frame, config.not_rated or raw.not_rated or tuple(details.get("not_rated", ())))
    known = Scale(**details["scale"]) if details.get("scale") else raw.scale
    asked = {"minimum": config.scale_min, "maximum": config.scale_max, "step": config.scale_step}
    given = {end: value for end, value in asked.items() if value is not None}
    if known is not None:
        known = replace(known, **given)
    return Tables(frame, items, known, raw.unread, origin, (*raw.notes, *unrated), given)


def _refuse_columns(format_: str, config: DatasetConfig) -> None:
    """Refuse names of columns that a known format would pass over."""
    for key in ("user_column", "item_column", "rating_column", "timestamp_column", "title_column", "columns"):
        value = getattr(config, key)
        if value not in (DatasetConfig.model_fields[key].default, *_FORMATS[format_].names):
            raise UsageError(f"dataset.{key} = {value!r} does nothing: files of {format_} have columns of their own.")


def _rated(frame: pd.DataFrame, not_rated: tuple[float, ...]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The rows whose rating is one, and what to say of the others."""
    if not not_rated:
        return frame, ()
    is_rated = ~frame["rating"].isin(not_rated)
    values = listed((f"{value:g}" for value in not_rated), "or")
    n_left_out = int((~is_rated).sum())
    note = f"{n_left_out:,} of {counted(len(frame), 'row')} left out: {values} stands for not rated"
    return frame[is_rated], (note,)


def _same_ids(items: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """Bring the items' ids to the ratings' type, so that they can be joined."""
    ids = pd.Series([id_text(id_) for id_ in items["item_id"]], items.index, dtype=object)
    if pd.api.types.is_integer_dtype(ratings["item_id"].dtype):
        ids = pd.Series([int(id_) if id_ and re.match(INTEGER, id_) else None for id_ in ids], ids.index, dtype="Int64")
        items = items[ids.notna()].assign(item_id=ids[ids.notna()].astype(np.int64))
    else:
        items = items[ids.notna()].assign(item_id=ids[ids.notna()])
    return items.drop_duplicates("item_id", ignore_index=True)


@dataclass(frozen=True)
class _Format:
    """A format: whether a folder holds it, how it is read, and how its columns are named.

    It is read by the folder and what to call it in messages.
    """

    is_here: Callable[[Path], bool]
    read: Callable[[Path, str], tuple[RawRatings, pd.DataFrame | None]]
    names: tuple[str, ...] = ()


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name[0] != "." and path.name != MANIFEST]


def _holds(name: str) -> Callable[[Path], bool]:
    return lambda folder: any(folder.glob(name))


def _is_movielens_csv(folder: Path) -> bool:
    try:
        with (folder / "ratings.csv").open("rb") as file:
            return file.readline(200).strip() == b"userId,movieId,rating,timestamp"
    except OSError:
        return False


_TABLE = "table"
_FORMATS = {
    "ml-100k": _Format(_holds("u.data"), movielens.read_100k),
    "ml-dat": _Format(_holds("ratings.dat"), movielens.read_dat),
    "ml-csv": _Format(_is_movielens_csv, movielens.read_csv, ("userId", "movieId", "rating", "timestamp")),
    "recbole": _Format(_holds("*.inter"), movielens.read_recbole),
    "jester-long": _Format(_holds("jester_ratings.dat"), jester.read_long),
    "jester-wide": _Format(_holds("jester-data-*"), jester.read_wide),
    "netflix": _Format(published.is_netflix, published.read_netflix),
    **{name: _Format(entry.is_here, entry.read, entry.layout.names) for name, entry in published.PUBLISHED.items()},
}
