"""Raw files into the canonical frame, each format in its true form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfcore.config import DatasetConfig
from mfcore.data import jester, movielens
from mfcore.data.ratings import Scale
from mfcore.data.tables import RawRatings, read_parquet, read_text, sniff
from mfcore.errors import DataInvalid
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
        scale: the rating scale; None where it is to be read off the data.
        unread: row, column ("rating", "timestamp" or "row") and text of what could not be read.
        origin: where the ratings come from, for messages.
    """

    ratings: pd.DataFrame
    items: pd.DataFrame | None
    scale: Scale | None
    unread: pd.DataFrame
    origin: str


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
    if len(files) == 1:
        return _TABLE
    raise DataInvalid(
        f"no ratings found among {', '.join(files[:8]) or 'no files at all'}{'…' if len(files) > 8 else ''}: "
        "give one CSV, TSV or Parquet file, or the unpacked files of a known data set."
    )


def read(folder: Path, details: Mapping[str, Any], config: DatasetConfig) -> Tables:
    """Read the raw files that `mfcore.data.sources.fetch` put into `folder`.

    Args:
        folder: the raw files.
        details: what `fetch` returned.
        config: names the columns of a file of one's own, and the scale where it is given.

    Raises:
        DataInvalid: the files can't be read as ratings; the message says which, why and what to do.
    """
    origin = str(details["origin"])
    if details["format"] == _TABLE:
        raw, items = _read_table(folder, origin, config)
    else:
        raw, items = _FORMATS[details["format"]].read(folder, origin)
    if items is None and raw.titles is not None:
        items = pd.DataFrame({"item_id": raw.titles.index, "title": raw.titles.to_numpy()})
    if items is not None:
        items = _same_ids(items, raw.frame)
    return Tables(raw.frame, items, _scale(details.get("scale"), config), raw.unread, origin)


def _scale(known: Mapping[str, Any] | None, config: DatasetConfig) -> Scale | None:
    if config.scale_min is not None and config.scale_max is not None:
        if config.scale_min >= config.scale_max:
            raise DataInvalid(
                f"dataset.scale_min is {config.scale_min:g} and dataset.scale_max {config.scale_max:g}: "
                "the first must be the smaller."
            )
        return Scale(config.scale_min, config.scale_max, config.scale_step)
    return Scale(**known) if known else None


def _same_ids(items: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """Bring the items' ids to the ratings' type, so that they can be joined."""
    if pd.api.types.is_integer_dtype(ratings["item_id"].dtype):
        ids = pd.to_numeric(items["item_id"], errors="coerce")
        items = items[ids.notna()].assign(item_id=ids[ids.notna()].astype(np.int64))
    else:
        items = items.assign(item_id=pd.Series([str(one) for one in items["item_id"]], items.index, dtype=object))
    return items.drop_duplicates("item_id", ignore_index=True)


@dataclass(frozen=True)
class _Format:
    """A format: whether a folder holds it, and how it is read, by the folder and what to call it in messages."""

    is_here: Callable[[Path], bool]
    read: Callable[[Path, str], tuple[RawRatings, pd.DataFrame | None]]


def _read_table(folder: Path, origin: str, config: DatasetConfig) -> tuple[RawRatings, None]:
    """A file of one's own, with named columns."""
    (path,) = _files(folder)
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, origin, config), None
    return read_text(path, origin, sniff(path, origin, config)), None


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
    "ml-csv": _Format(_is_movielens_csv, movielens.read_csv),
    "recbole": _Format(_holds("*.inter"), movielens.read_recbole),
    "jester-long": _Format(_holds("jester_ratings.dat"), jester.read_long),
    "jester-wide": _Format(_holds("jester-data-*"), jester.read_wide),
}
