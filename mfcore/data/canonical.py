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

    The memory it takes is that of the finished frame (32 bytes per rating with integer ids),
    at most a quarter more, plus one batch.

    >>> import pyarrow as pa
    >>> gatherer = Gatherer()
    >>> gatherer.add(pa.array(["007", "8"]), pa.array([5, 6]), pa.array(["3.5", "five"]), None)
    >>> gatherer.frame().to_dict("list"), gatherer.unread_ratings.texts
    ({'user_id': ['007', '8'], 'item_id': [5, 6], 'rating': [3.5, nan]}, {1: 'five'})
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self.unread_ratings = Unread("rating")
        self.unread_times = Unread("timestamp")
        self._users = _Ids()
        self._items = _Ids()
        self._ratings = _Column(np.float64)
        self._times = _Integers()

    def add(
        self, users: "pa.Array[Any]", items: "pa.Array[Any]", ratings: "pa.Array[Any]", times: "pa.Array[Any] | None"
    ) -> None:
        """Append a batch of Arrow columns of equal length, of any type; `times` in each batch or in none."""
        self._users.extend_by(users)
        self._items.extend_by(items)
        self._ratings.extend(_floats(ratings, self.n_rows, self.unread_ratings))
        if times is not None:
            self._times.extend_where(*_seconds(times, self.n_rows, self.unread_times))
        self.n_rows += len(users)

    def frame(self) -> pd.DataFrame:
        """What was gathered, given away, so that this can be called once."""
        import pyarrow as pa

        pa.default_memory_pool().release_unused()  # what the batches took
        columns: dict[str, Any] = {
            "user_id": self._users.finish(),
            "item_id": self._items.finish(),
            "rating": self._ratings.finish(),
        }
        if self._times.n == self.n_rows > 0:
            columns["timestamp"] = self._times.finish()
        return pd.DataFrame(columns, copy=False)


class _Column:
    """An array that grows in place: large blocks are remapped by the system, not copied."""

    def __init__(self, dtype: Any) -> None:
        self.n = 0
        self._room = np.empty(1 << 12, dtype)

    def extend(self, values: NDArray[Any]) -> None:
        """Append `values`."""
        end = self.n + len(values)
        if end > len(self._room):
            self._room.resize(max(end, len(self._room) * 5 // 4), refcheck=False)
        self._room[self.n : end] = values
        self.n = end

    def finish(self) -> Any:
        """The array, given away."""
        values, self._room = self._room, np.empty(0, self._room.dtype)
        values.resize(self.n, refcheck=False)
        return values


class _Integers(_Column):
    """An integer column, and where something is missing in it."""

    def __init__(self) -> None:
        super().__init__(np.int64)
        self._missing: list[NDArray[np.int64]] = []

    def extend_where(self, values: NDArray[np.int64], missing: NDArray[np.bool_]) -> None:
        """Append `values`; what stands at a missing place means nothing."""
        if missing.any():
            self._missing.append(np.flatnonzero(missing) + self.n)
        self.extend(values)

    def finish(self) -> Any:
        values = super().finish()
        if not self._missing:
            return values
        mask = np.zeros(len(values), np.bool_)
        mask[np.concatenate(self._missing)] = True
        return pd.arrays.IntegerArray(values, mask)


class _Ids(_Integers):
    """One id column: integers as long as all are, places in a list of texts from the first that is not."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[str, int] | None = None

    def extend_by(self, column: "pa.Array[Any]") -> None:
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
        if numbers is None and self._texts is None:
            self._turn_into_texts()
        if self._texts is None:
            known = numbers.to_numpy(zero_copy_only=False)
        else:
            known = self._places(distinct.cast(pa.string()).to_pylist())
        if not len(known):  # a batch of nothing but missing ids
            known = np.zeros(1, np.int64)
        self.extend_where(known[codes], codes < 0)

    def finish(self) -> Any:
        if self._texts is None:
            return super().finish()
        places = _Column.finish(self)
        known = np.array([*self._texts, None], dtype=object)
        for positions in self._missing:
            places[positions] = len(known) - 1
        return pd.Series(known[places], dtype=object)

    def _turn_into_texts(self) -> None:
        self._texts = {}
        distinct, places = np.unique(self._room[: self.n], return_inverse=True)
        self._room[: self.n] = self._places([str(number) for number in distinct])[places]

    def _places(self, texts: list[str]) -> NDArray[np.int64]:
        """Where each of `texts` is in the list of all, new ones being put at its end."""
        assert self._texts is not None
        return np.array([self._texts.setdefault(text, len(self._texts)) for text in texts], dtype=np.int64)


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
