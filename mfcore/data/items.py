"""The table of items beside item codes: its columns in their order, its genres, conditions on it."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ids, find_codes
from mfcore.errors import UsageError, listed

__all__ = ["aligned", "genres_of", "meeting"]

_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>|\bhas\b|\blacks\b)\s*(.*?)\s*")


def aligned(items: pd.DataFrame, item_ids: Ids) -> pd.DataFrame:
    """The rows of `items` in the order of item codes; missing values for an item that has none.

    >>> table = pd.DataFrame({"item_id": ["8", "3"], "genres": ["War", "Drama"]})
    >>> aligned(table, np.array([3, 5, 8]))["genres"].tolist()
    ['Drama', nan, 'War']
    """
    codes = find_codes(item_ids, items["item_id"])
    rows = items.drop(columns="item_id").set_index(codes)
    rows = rows[(codes >= 0) & ~rows.index.duplicated(keep="last")]
    return rows.reindex(range(len(item_ids)))


def genres_of(column: pd.Series) -> tuple[list[str], NDArray[np.bool_]]:
    """Names of genres in alphabetical order, and which items have them, (n_items, n_genres).

    >>> names, has = genres_of(pd.Series(["Drama|War", None, "War"]))
    >>> names, has.astype(int).tolist()
    (['Drama', 'War'], [[1, 1], [0, 0], [0, 1]])
    """
    of_items = [{genre for genre in text.split("|") if genre} for text in column.fillna("").astype(str)]
    names = sorted(set().union(*of_items))
    has = np.array([[name in own for name in names] for own in of_items], np.bool_).reshape(len(of_items), len(names))
    return names, has


def meeting(items: pd.DataFrame, conditions: Iterable[str]) -> NDArray[np.bool_]:
    """Which items meet all the conditions, (n_items,).

    A condition is `column operator value`: = and != compare text or numbers, <, <=, > and >= numbers; `has` and
    `lacks` look for one of several values separated by "|", as genres are. A missing value meets `lacks` alone.

    Raises:
        UsageError: no condition, a column that is not there, or a number that is none.

    >>> table = pd.DataFrame({"genres": ["Drama|War", "Comedy", None], "year": [1995, 1962, 1980]})
    >>> meeting(table, ["genres lacks War", "year >= 1970"]).tolist()
    [False, False, True]
    """
    met = np.ones(len(items), np.bool_)
    for condition in conditions:
        parts = _CONDITION.fullmatch(condition)
        if parts is None or not parts[3]:
            raise UsageError(
                f"{condition!r} is no condition: write column, operator and value, as in 'year >= 1990' or "
                "'genres has Drama'; operators are =, !=, <, <=, >, >=, has and lacks."
            )
        name, operator, value = parts.groups()
        if name not in items:
            known = listed(items)
            raise UsageError(f"{condition!r}: the table of items has no column {name!r}; its columns: {known}.")
        met &= _met(items[name], operator, value, condition)
    return met


def _met(column: pd.Series, operator: str, value: str, condition: str) -> NDArray[np.bool_]:
    known = column.notna().to_numpy()
    if operator in ("has", "lacks"):
        has = np.array([value in text.split("|") for text in column.fillna("").astype(str)], np.bool_)
        return has if operator == "has" else ~has
    try:
        number = float(value)
    except ValueError:
        if operator not in ("=", "!="):
            raise UsageError(f"{condition!r}: {value!r} is no number to compare with.") from None
        same = (column.astype(str) == value).to_numpy()
        return known & (same if operator == "=" else ~same)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    compared: dict[str, NDArray[np.bool_]] = {
        "=": numbers == number,
        "!=": known & (numbers != number),
        "<": numbers < number,
        "<=": numbers <= number,
        ">": numbers > number,
        ">=": numbers >= number,
    }
    return compared[operator]
