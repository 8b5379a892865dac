"""Times in whatever unit or notation a column has them, as seconds since 1970."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from mfcore.config import DateOrder
from mfcore.data.columns import Column, Unread, texts_of, try_cast
from mfcore.data.ids import is_missing
from mfcore.errors import DataInvalid

__all__ = ["EARLIEST", "UNKNOWN", "DateOrder", "Times", "as_seconds"]

EARLIEST = 100_000_000
"""March 1973. Smaller numbers are years, dates or counts, and no time in seconds at which anybody rated."""

UNKNOWN = np.iinfo(np.int64).min
"""Stands where the time is not known, and sorts before all others."""

_BLOCK = 1 << 20
_DAY_S = 86_400
_EXCEL_EPOCH = 25_569  # 1970 in Excel's days
_SECONDS, _YEARS, _EXCEL, _DIGITS, _OTHER = (
    "seconds",
    "years",
    "Excel's days",
    "dates such as 20100131",
    "no unit known",
)
_SCALES = {
    "milliseconds": (1e3, 0),
    "microseconds": (1e6, 0),
    "nanoseconds": (1e9, 0),
    "file times of Windows": (1e7, 11_644_473_600),
    "ticks of .NET": (1e7, 62_135_596_800),
}
"""How many make a second, and the seconds from their first to 1970."""
_UNITS = (_SECONDS, *_SCALES, _YEARS, _EXCEL, _DIGITS, _OTHER)
_STARTS = {
    -np.inf: _SECONDS,
    0: _OTHER,
    1_900: _YEARS,
    2_101: _OTHER,
    20_000: _EXCEL,
    80_000: _OTHER,
    19_000_101: _DIGITS,
    21_001_232: _OTHER,
    EARLIEST: _SECONDS,
    1e11: "milliseconds",
    1.9e11: _DIGITS,  # to the minute
    2.1e11: "milliseconds",
    1.9e13: _DIGITS,  # to the second
    2.1e13: "milliseconds",
    1e14: "microseconds",
    1e17: "nanoseconds",
    1.18e17: "file times of Windows",  # 1974 to 2107
    1.6e17: "nanoseconds",
    6.23e17: "ticks of .NET",  # 1975 to 2108
    6.65e17: "nanoseconds",
}
"""From which number on numbers have which unit, the time being one at which people may have rated something."""
_ZONE = re.compile(r"\s*(UTC|GMT)$")
_PARTS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T,]+(\S.*))?")


def as_seconds(column: "pd.Series[Any]") -> NDArray[np.int64] | None:
    """Seconds since 1970 of a column of integers or of moments of any resolution; None where none is known.

    >>> as_seconds(pd.Series(pd.to_datetime(["2020-01-01", None]))).tolist() == [1577836800, UNKNOWN]
    True
    """
    if column.isna().all():
        return None
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return column.to_numpy().astype("datetime64[s]").astype(np.int64)  # NaT is UNKNOWN
    missing = column.isna().to_numpy()
    return np.where(missing, UNKNOWN, column.where(~missing, 0).to_numpy(dtype=np.int64, na_value=0))


class Times:
    """Collects the batches of one column, and decides at the end what they mean.

    The unit is that of most of the numbers; a number that does not fit it is left as it is, for the
    checks to refuse. 0 and -1 are "not known". Dates are read as ISO 8601, with day, month and year by dots, with
    the name of the month, or by slashes where one date of the column or `order` tells day from month.

    Attributes:
        unread: what is no time.
        notes: how the column was understood, where it was not as seconds or ISO 8601.

    >>> import pyarrow as pa
    >>> times = Times()
    >>> times.add(pa.array(["20100101", "0"]))
    >>> times.finish().tolist(), times.notes
    ([1262304000, <NA>], ['timestamp: 1 of 2 not known (0 or -1)', 'timestamp: read as dates such as 20100131'])
    """

    def __init__(self, order: DateOrder | None = None) -> None:
        self.unread = Unread("timestamp")
        self.notes: list[str] = []
        self._order = order
        self._seconds = Column(np.float64)
        self._n_dated = 0
        self._late: dict[int, str] = {}

    def add(self, column: "pa.Array[Any]") -> None:
        """Append a batch of an Arrow column of any type."""
        start = self._seconds.n
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            moments = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
            self._n_dated += len(column) - column.null_count
            self._seconds.extend(moments.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
            return
        read = try_cast(column, pa.int64())  # most texts of numbers, far faster than pandas
        if read is None and pa.types.is_floating(column.type):
            read = column
        if read is not None:
            self._seconds.extend(read.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
            return
        texts = texts_of(column)
        values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
        rest = np.flatnonzero(np.isnan(values))
        dates = texts.iloc[rest].str.strip().str.replace(_ZONE, "+00:00", regex=True)
        moments = pd.to_datetime(dates, errors="coerce", utc=True, format="ISO8601")
        seconds = moments.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        is_known = ~np.isnat(seconds)
        self._n_dated += int(is_known.sum())
        values[rest[is_known]] = seconds[is_known].astype(np.float64)
        for place, text in zip(rest[~is_known], dates[~is_known], strict=True):
            if not is_missing(text):
                self._late[start + int(place)] = text
        self._seconds.extend(values)

    @property
    def n(self) -> int:
        """How many rows there are so far."""
        return self._seconds.n

    def finish(self) -> Any:
        """Seconds since 1970, given away: int64, or a masked array where some are not known.

        Raises:
            DataInvalid: whether the day or the month comes first can't be told.
        """
        values = self._seconds.finish()
        self._read_late(values)
        unit = self._unit(values) if self._n_dated * 2 < len(values) else _SECONDS
        missing: list[NDArray[np.int64]] = []
        n_unknown = 0
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            is_unknown = (block == 0) | (block == -1)
            n_unknown += int(is_unknown.sum())
            converted = np.where(is_unknown, np.nan, _converted(block, unit))
            strange = ~(np.abs(converted) < 2.0**62) & ~np.isnan(converted)
            for place in np.flatnonzero(strange):
                self.unread.add(np.array([place + start]), [f"{block[place]:g}"])
            gone = np.isnan(converted) | strange
            missing.append(np.flatnonzero(gone) + start)
            # The same memory holds both, which tells at 25M rows.
            block.view(np.int64)[:] = np.where(gone, 0, np.floor(converted)).astype(np.int64)
        if n_unknown:
            self.notes.append(f"timestamp: {n_unknown:,} of {len(values):,} not known (0 or -1)")
        if unit not in (_SECONDS, _OTHER):
            self.notes.append(f"timestamp: read as {unit}")
        seconds = values.view(np.int64)
        places = np.concatenate(missing) if missing else np.empty(0, np.int64)
        if not len(places):
            return seconds
        mask = np.zeros(len(seconds), np.bool_)
        mask[places] = True
        return pd.arrays.IntegerArray(seconds, mask)

    def _unit(self, values: NDArray[np.float64]) -> str:
        """The unit that most of the numbers are in."""
        counts = np.zeros(len(_UNITS), np.int64)
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            units = _units(block)
            counts += np.bincount(units[units >= 0], minlength=len(_UNITS))
        return _UNITS[int(np.argmax(counts))]

    def _read_late(self, values: NDArray[np.float64]) -> None:
        """Read the dates that are not of ISO 8601."""
        parts = {place: _PARTS.fullmatch(text) for place, text in self._late.items()}
        order = self._order or _order([match for match in parts.values() if match and match[2] != "."])
        n_read = 0
        for place, text in self._late.items():
            match = parts[place]
            iso = text if match is None else _iso(match, "day-month" if match[2] == "." else order)
            moment: Any = pd.NaT
            if iso is not None and (match is not None or re.search(r"[A-Za-z]{3}.*\d{4}|\d{4}.*[A-Za-z]{3}", text)):
                moment = pd.to_datetime(iso, errors="coerce", utc=True)
            if pd.isna(moment):
                self.unread.add(np.array([place]), [text])
            else:
                values[place] = np.floor(moment.timestamp())
                n_read += 1
        self._n_dated += n_read
        if n_read and any(match and match[2] != "." for match in parts.values()):
            self.notes.append(f"timestamp: dates read as {order} (dataset.date_order)")


def _order(matches: "list[re.Match[str]]") -> DateOrder:
    """Whether the day or the month comes first, told by the days beyond 12."""
    if not matches:
        return "day-month"
    first, second = (any(int(match[group]) > 12 for match in matches) for group in (1, 3))
    if first == second:
        raise DataInvalid(
            f"timestamps such as {matches[0][0]!r} may have the day or the month first: "
            'say which with dataset.date_order = "day-month" or "month-day".'
        )
    return "day-month" if first else "month-day"


def _iso(match: "re.Match[str]", order: DateOrder) -> str | None:
    day, month = (match[1], match[3]) if order == "day-month" else (match[3], match[1])
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    return f"{match[4]}-{int(month):02}-{int(day):02} {match[5] or ''}".strip()


def _units(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each number the place of its unit in `_UNITS`; −1 where it is not known."""
    places = np.array([_UNITS.index(unit) for unit in _STARTS.values()])
    units = places[np.searchsorted(list(_STARTS), np.nan_to_num(values), side="right") - 1]
    units[np.isnan(values) | (values == 0) | (values == -1)] = -1
    return units


def _converted(values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    """Numbers of `unit` as seconds; others stay."""
    mine = _units(values) == _UNITS.index(unit)
    if unit in (_SECONDS, _OTHER) or not mine.any():
        return values
    converted = values.copy()
    if unit in _SCALES:
        per_second, epoch = _SCALES[unit]
        converted[mine] = values[mine] / per_second - epoch
    elif unit == _YEARS:
        converted[mine] = (np.floor(values[mine]) - 1970).astype("datetime64[Y]").astype("datetime64[s]").astype(float)
    elif unit == _EXCEL:
        converted[mine] = np.rint((values[mine] - _EXCEL_EPOCH) * _DAY_S)
    else:
        texts = pd.Series(values[mine].astype(np.int64).astype(str).astype(object)).str.ljust(14, "0")
        moments = pd.to_datetime(texts, format="%Y%m%d%H%M%S", errors="coerce").to_numpy().astype("datetime64[s]")
        converted[mine] = np.where(np.isnat(moments), values[mine], moments.astype(np.float64))
    return converted
