"""Which column is the user, the item, the rating, the time and the title: by name, or by the values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
import pyarrow as pa

from mfcore.config import DatasetConfig
from mfcore.data.ids import is_missing
from mfcore.data.times import EARLIEST, Times
from mfcore.errors import DataInvalid, counted, listed, nearest

__all__ = ["Roles", "by_name", "by_position", "by_value", "is_number", "is_table", "no_columns"]

_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
_USER = re.compile(r"A[0-9A-Z]{7,}|(user|u)[-_ ]?\d+", re.I)
_ITEM = re.compile(r"[B0-9][0-9A-Z]{7,9}|(item|movie|product|i)[-_ ]?\d+", re.I)
_MAX_RATING = 100
"""Numbers of at most this size may be ratings, where no head line says so."""


@dataclass(frozen=True)
class Roles:
    """The places of the columns that matter among all of a table, and what to say of how they were found."""

    user: int
    item: int
    rating: int
    timestamp: int | None = None
    title: int | None = None
    notes: tuple[str, ...] = ()


def is_number(text: str) -> bool:
    """Whether a text is a number, be it with a decimal comma."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_table(names: Sequence[str], config: DatasetConfig) -> bool:
    """Whether a user, an item and a rating are among the named columns."""
    needed = (config.user_column, config.item_column, config.rating_column)
    return all(_places(name, names) for name in needed)


def by_name(names: Sequence[str], config: DatasetConfig, origin: str) -> Roles:
    """The columns that `config` names; upper and lower case, spaces, - and _ don't matter.

    Raises:
        DataInvalid: one is missing, or there twice.
    """
    if not is_table(names, config):
        raise DataInvalid(no_columns(origin, names, config))
    column_of: dict[str, int | None] = {}
    notes: list[str] = []
    for role in ("user", "item", "rating", "timestamp", "title"):
        wanted: str = getattr(config, f"{role}_column")
        places = _places(wanted, names) if wanted else []
        if len(places) > 1:
            called = listed(dict.fromkeys(repr(names[place]) for place in places), "and")
            raise DataInvalid(f"{origin} has {len(places)} columns named {called}: rename all but one.")
        column_of[role] = places[0] if places else None
        if places and names[places[0]] != wanted:
            notes.append(f"taking column {names[places[0]]!r} for {wanted!r}")
        if not places and wanted and wanted != DatasetConfig.model_fields[f"{role}_column"].default:
            raise DataInvalid(
                f"{origin}: no column {wanted!r}; found columns {listed(names)}{_hint(wanted, names)}. "
                f"Name yours with dataset.{role}_column."
            )
    if column_of["timestamp"] is None and config.timestamp_column and len(names) > 3:
        notes.append(f"no times: there is no column {config.timestamp_column!r} among {listed(names)}")
    user, item, rating = (column_of[role] or 0 for role in ("user", "item", "rating"))
    return Roles(user, item, rating, column_of["timestamp"], column_of["title"], tuple(notes))


def by_position(width: int, config: DatasetConfig, origin: str) -> Roles:
    """The columns as `dataset.columns` names them in their order.

    Raises:
        DataInvalid: the table has another number of columns.
    """
    if len(config.columns) != width:
        raise DataInvalid(
            f"{origin} has {counted(width, 'column')}, and dataset.columns names {len(config.columns)}: "
            f"{listed(config.columns)}. Name each, those that don't matter by any name."
        )
    return by_name(config.columns, config, origin)


def by_value(rows: Sequence[Sequence[str]], config: DatasetConfig) -> Roles | None:
    """The columns of rows without a head line: two of ids, a rating, and maybe a time; None where that is not plain.

    The user comes first, unless the ids tell otherwise, as Amazon's do.
    """
    width = len(rows[0])
    customized = any(
        getattr(config, f"{role}_column") != DatasetConfig.model_fields[f"{role}_column"].default
        for role in ("user", "item", "rating")
    )
    if customized or width not in (3, 4) or any(len(row) != width for row in rows):
        return None
    columns = [[row[place].strip() for row in rows] for place in range(width)]
    timestamp = next((place for place in range(2, width) if _are_times(columns[place])), None)
    ratings = [place for place in range(2, width) if place != timestamp and _are_ratings(columns[place])]
    if (
        len(ratings) != 1
        or (width == 4 and timestamp is None)
        or any(map(is_missing, (*columns[0][:1], *columns[1][:1])))
    ):
        return None
    if any(_may_be_rating_too(columns[place], columns[ratings[0]]) for place in (0, 1)):
        return None
    is_swapped = _are(_ITEM, columns[0]) and _are(_USER, columns[1]) and not _are(_USER, columns[0])
    user, item = (1, 0) if is_swapped else (0, 1)
    names = {user: config.user_column, item: config.item_column, ratings[0]: config.rating_column}
    if timestamp is not None:
        names[timestamp] = config.timestamp_column or "timestamp"
    order = ", ".join(f'"{names[place]}"' for place in range(width))
    note = f"no head line: columns taken by their values, as with dataset.columns = [{order}]"
    return Roles(user, item, ratings[0], timestamp if config.timestamp_column else None, None, (note,))


def no_columns(origin: str, names: Sequence[str], config: DatasetConfig) -> str:
    """What to say of a table that lacks columns."""
    keys = ("user_column", "item_column", "rating_column")
    missing = {key: getattr(config, key) for key in keys if not _places(getattr(config, key), names)}
    called = listed((f"{name!r}{_hint(name, names)}" for name in missing.values()), "or")
    return (
        f"{origin}: no column {called}; found columns {listed(names)}. "
        f"Name yours with {listed((f'dataset.{key}' for key in missing), 'and')}."
    )


def _hint(wanted: str, names: Sequence[str]) -> str:
    likely = nearest(wanted, names).removeprefix("; ")
    return f" ({likely})" if likely else ""


def _places(wanted: str, names: Sequence[str]) -> list[int]:
    exact = [place for place, name in enumerate(names) if name == wanted]
    return exact or [place for place, name in enumerate(names) if _key(name) == _key(wanted)]


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold() or name


def _are(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return sum(pattern.fullmatch(text) is not None for text in texts) >= 0.95 * len(texts)


def _are_ratings(texts: Sequence[str]) -> bool:
    given = [text for text in texts if not is_missing(text)]
    numeric = [float(text.replace(",", ".")) for text in given if is_number(text)]
    return (
        is_number(texts[0])
        and len(numeric) >= 0.95 * len(given)
        and all(abs(number) <= _MAX_RATING for number in numeric)
    )


def _may_be_rating_too(ids: Sequence[str], ratings: Sequence[str]) -> bool:
    """Whether a column may be the rating rather than `ratings`: it has fewer values, and is in no order."""
    runs = 1 + sum(id_ != other for id_, other in pairwise(ids))
    return len(set(ids)) < min(len(set(ratings)), runs) and _are_ratings(ids)


def _are_times(texts: Sequence[str]) -> bool:
    times = Times("day-month")
    times.add(pa.array(texts, pa.string()))
    seconds = pd.Series(times.finish()).dropna()
    return not times.unread.count and len(seconds) > 0 and bool((seconds >= EARLIEST).all())
