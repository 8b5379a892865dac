"""Raw files into the canonical frame, each format in its true form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mfcore.artifacts import MANIFEST
from mfcore.config import DatasetConfig
from mfcore.data.ratings import Scale
from mfcore.data.tables import Layout, RawRatings, read_parquet, read_text, sniff
from mfcore.errors import DataInvalid

__all__ = ["Tables", "read", "recognise"]

_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The genres of u.item's flags, in their order."""


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


def recognise(folder: Path) -> str:
    """The format of the raw files in `folder`, by what is there.

    Raises:
        DataInvalid: nothing in it is of a known format.
    """
    for name, format_ in _FORMATS.items():
        if format_.is_here(folder):
            return name
    files = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
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
    raw, items = _FORMATS[details["format"]].read(folder, str(details["origin"]), config)
    if items is None and raw.titles is not None:
        items = pd.DataFrame({"item_id": raw.titles.index, "title": raw.titles.to_numpy()})
    if items is not None:
        items = _same_ids(items, raw.frame)
    return Tables(raw.frame, items, _scale(details.get("scale"), config), raw.unread, str(details["origin"]))


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
    is_here: Callable[[Path], bool]
    read: Callable[[Path, str, DatasetConfig], tuple[RawRatings, pd.DataFrame | None]]


def _read_ml_100k(folder: Path, origin: str, config: DatasetConfig) -> tuple[RawRatings, pd.DataFrame | None]:
    names = ("user_id", "item_id", "rating", "timestamp")
    raw = read_text(folder / "u.data", f"{origin}: u.data", Layout("\t", names, *names, header=False, quoted=False))
    if not (folder / "u.item").exists():
        return raw, None
    rows = [line.split("|") for line in _lines(folder / "u.item", "latin-1")]
    items = [
        {
            "item_id": row[0],
            "title": row[1],
            "genres": "|".join(genre for genre, flag in zip(_GENRES, row[5:], strict=False) if flag == "1"),
            "url": row[4],
        }
        for row in rows
        if len(row) > 4
    ]
    return raw, pd.DataFrame(items, columns=["item_id", "title", "genres", "url"])


def _read_recbole(folder: Path, origin: str, config: DatasetConfig) -> tuple[RawRatings, pd.DataFrame | None]:
    """Tab-separated files whose header gives each column's type, such as `user_id:token`."""
    path = next(folder.glob("*.inter"))
    names = tuple((_lines(path, "utf-8") or [""])[0].split("\t"))
    columns = {name.partition(":")[0]: name for name in names}
    needed = [columns.get(name) for name in ("user_id", "item_id", "rating", "timestamp")]
    user, item, rating, timestamp = needed
    if user is None or item is None or rating is None:
        raise DataInvalid(f"{origin}: {path.name} lacks user_id, item_id or rating; found columns {', '.join(names)}.")
    raw = read_text(path, f"{origin}: {path.name}", Layout("\t", names, user, item, rating, timestamp, quoted=False))
    catalogue = path.with_suffix(".item")
    if not catalogue.exists():
        return raw, None
    table = pd.read_csv(catalogue, sep="\t", dtype=str, quoting=3, keep_default_na=False)
    table.columns = [name.partition(":")[0] for name in table.columns]
    year = table["release_year"].where(table["release_year"].str.fullmatch(r"\d{4}"), "")
    items = pd.DataFrame(
        {
            "item_id": table["item_id"],
            "title": table["movie_title"] + np.where(year == "", "", " (" + year + ")"),
            "genres": table["class"].str.replace(" ", "|"),
        }
    )
    return raw, items


def _read_table(folder: Path, origin: str, config: DatasetConfig) -> tuple[RawRatings, pd.DataFrame | None]:
    path = _only_file(folder)
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, origin, config), None
    return read_text(path, origin, sniff(path, origin, config)), None


def _only_file(folder: Path) -> Path:
    (path,) = _candidates(folder)
    return path


def _candidates(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name[0] != "." and path.name != MANIFEST]


def _lines(path: Path, encoding: str) -> list[str]:
    return path.read_text(encoding=encoding).split("\n")


_FORMATS = {
    "ml-100k": _Format(lambda folder: (folder / "u.data").is_file(), _read_ml_100k),
    "recbole": _Format(lambda folder: any(folder.glob("*.inter")), _read_recbole),
    "table": _Format(lambda folder: len(_candidates(folder)) == 1, _read_table),
}
