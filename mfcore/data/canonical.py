"""Columns as they come, batch by batch, into the canonical frame: user_id, item_id, rating, timestamp."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Gatherer", "Unread"]

_INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
"""An integer as Python writes it: reading it as a number and writing it again loses nothing."""

_MAX_TEXTS = 10_000
"""Unreadable texts kept for the quarantine; a file with more of them is stopped anyway."""


@dataclass
class Unread:
    """Cells that hold something else than they should: their positions and texts."""

    what: str
    count: int = 0
    texts: dict[int, str] = field(default_factory=dict)

    def add(self, positions: NDArray[np.int64], texts: list[str]) -> None:
        """Note `texts`, found at `positions` counted from the first row of the source."""
        self.count += len(positions)
        room = _MAX_TEXTS - len(self.texts)
        self.texts.update(zip(positions[:room].tolist(), texts[:room], strict=True))


class Gatherer:
    """Collects batches of columns and gives the canonical frame at the end.

    Ids become int64 when every one is an integer as Python writes it, else they stay text.
    A missing id, rating or time keeps its row; what was found in the place of a number is
    in `unread_ratings` and `unread_times`.

    The memory it takes is that of the finished frame (32 bytes a rating with integer ids)
    plus one column and one batch.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self.unread_ratings = Unread("rating")
        self.unread_times = Unread("timestamp")
        self._users = _Ids()
        self._items = _Ids()
        self._ratings: list[NDArray[np.float64]] = []
        self._times = _Integers()

    def add(
        self, users: "pa.Array[Any]", items: "pa.Array[Any]", ratings: "pa.Array[Any]", times: "pa.Array[Any] | None"
    ) -> None:
        """Append a batch of Arrow columns of equal length, of any type; `times` in each batch or in none."""
        self._users.add_column(users)
        self._items.add_column(items)
        self._ratings.append(_floats(ratings, self.n_rows, self.unread_ratings))
        if times is not None:
            self._times.add(*_seconds(times, self.n_rows, self.unread_times))
        self.n_rows += len(users)

    def frame(self) -> pd.DataFrame:
        """What was gathered; the batches are given up on the way, so this can be called once."""
        columns: dict[str, Any] = {
            "user_id": self._users.finish(),
            "item_id": self._items.finish(),
            "rating": _join(self._ratings, np.float64),
        }
        if self._times.parts:
            columns["timestamp"] = self._times.finish()
        return pd.DataFrame(columns, copy=False)


class _Integers:
    """An integer column, and where something is missing in it."""

    def __init__(self) -> None:
        self.parts: list[NDArray[Any]] = []
        self._n_rows = 0
        self._missing: list[NDArray[np.int64]] = []

    def add(self, values: NDArray[Any], missing: NDArray[np.bool_]) -> None:
        """Append a batch; what stands at a missing place means nothing."""
        self.parts.append(values)
        if missing.any():
            self._missing.append(np.flatnonzero(missing) + self._n_rows)
        self._n_rows += len(values)

    def missing(self) -> NDArray[np.int64]:
        """The positions of what is missing."""
        return np.concatenate([np.empty(0, np.int64), *self._missing])

    def finish(self) -> Any:
        values = _join(self.parts, np.int64)
        if not self._missing:
            return values
        mask = np.zeros(len(values), np.bool_)
        mask[self.missing()] = True
        return pd.arrays.IntegerArray(values, mask)


class _Ids(_Integers):
    """One id column: integers as long as all are, text from the first that is not."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[str, str] = {}
        self._is_text = False

    def add_column(self, column: "pa.Array[Any]") -> None:
        """Append a batch of ids of any type."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_floating(column.type):
            # Integers with missing values among them come as floats from many programs.
            column = _try_cast(column, pa.int64()) or column
        if not pa.types.is_integer(column.type):
            column = column.cast(pa.string())
        encoded = column.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        distinct = encoded.dictionary
        numbers: Any = distinct
        if not pa.types.is_integer(distinct.type):
            blank = pc.equal(distinct, "")
            if pc.any(blank).as_py():
                codes = np.where(codes == pc.index(distinct, "").as_py(), -1, codes)
            integral = pc.or_(pc.match_substring_regex(distinct, _INTEGER), blank)
            numbers = pc.if_else(blank, "0", distinct) if pc.all(integral).as_py() else None
        numbers = None if numbers is None else _try_cast(numbers, pa.int64())
        if numbers is None:
            self._is_text = True
            known = np.array([self._keep(text) for text in distinct.cast(pa.string()).to_pylist()], dtype=object)
        else:
            known = numbers.to_numpy(zero_copy_only=False)
        if not len(known):  # a batch of nothing but missing ids
            known = np.zeros(1, np.int64)
        self.add(known[codes], codes < 0)

    def finish(self) -> Any:
        if not self._is_text:
            return super().finish()
        for number, part in enumerate(self.parts):
            if part.dtype != object:
                distinct, inverse = np.unique(part, return_inverse=True)
                self.parts[number] = np.array([self._keep(str(one)) for one in distinct], dtype=object)[inverse]
        values = _join(self.parts, object)
        values[self.missing()] = None
        return pd.Series(values, dtype=object)

    def _keep(self, text: str) -> str:
        """The one copy of `text` that all rows share."""
        return self._texts.setdefault(text, text)


def _floats(column: "pa.Array[Any]", start: int, unread: Unread) -> NDArray[np.float64]:
    import pyarrow as pa

    read = _try_cast(column, pa.float64())
    if read is not None:
        values = read.to_numpy(zero_copy_only=False)
        suspects = np.flatnonzero(np.isinf(values))
        values = np.where(np.isinf(values), np.nan, values) if len(suspects) else values
    else:
        texts = _texts(column)
        values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
        values[np.isinf(values)] = np.nan
        suspects = np.flatnonzero(np.isnan(values) & (texts.str.strip() != "").to_numpy())
    if len(suspects):
        unread.add(suspects + start, [str(one) for one in column.take(pa.array(suspects)).to_pylist()])
    return np.asarray(values, dtype=np.float64)


def _seconds(column: "pa.Array[Any]", start: int, unread: Unread) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Seconds since 1970 from numbers, dates or their texts, and which are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("s"), safe=False)
    read = _try_cast(column, pa.int64())
    if read is not None:
        missing = pc.is_null(read).to_numpy(zero_copy_only=False)
        return read.fill_null(0).to_numpy(zero_copy_only=False), missing
    texts = _texts(column)
    values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
    dates = np.flatnonzero(np.isnan(values))
    moments = pd.to_datetime(texts.iloc[dates], errors="coerce", utc=True, format="ISO8601")
    values[dates] = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.float64)
    values[dates[moments.isna().to_numpy()]] = np.nan
    values[~(np.abs(values) < 2.0**62)] = np.nan
    missing = np.isnan(values)
    suspects = np.flatnonzero(missing & (texts.str.strip() != "").to_numpy())
    if len(suspects):
        unread.add(suspects + start, texts.iloc[suspects].tolist())
    return np.where(missing, 0, np.floor(values)).astype(np.int64), missing


def _texts(column: "pa.Array[Any]") -> "pd.Series[str]":
    """A column as text, missing values being empty."""
    import pyarrow as pa

    return pd.Series(column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False), dtype=object)


def _try_cast(column: "pa.Array[Any]", to: "pa.DataType") -> "pa.Array[Any] | None":
    import pyarrow as pa

    try:
        return column.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _join(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """The parts in one array, given up one after the other so that memory holds little twice."""
    whole = np.empty(sum(map(len, parts)), dtype=dtype)
    at = 0
    parts.reverse()
    while parts:
        part = parts.pop()
        whole[at : at + len(part)] = part
        at += len(part)
    return whole
