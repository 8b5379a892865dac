"""Columns as they come, batch by batch, into the canonical frame: user_id, item_id, rating, timestamp."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mfcore.data.columns import Column, Unread, texts_of, try_cast
from mfcore.data.ids import INTEGER, as_integers, id_text, is_missing
from mfcore.data.times import DateOrder, Times
from mfcore.errors import DataInvalid

__all__ = ["Gatherer"]


class Gatherer:
    """Collects batches of columns and gives the canonical frame at the end.

    Ids are taken by the rule of `mfcore.data.ids`, times by that of `mfcore.data.times`. A missing
    id, rating or time keeps its row; what was found in the place of a number is in `unread`.

    The memory it takes is that of the finished frame (32 bytes per rating with integer ids),
    at most a quarter more, plus one batch.

    >>> import pyarrow as pa
    >>> gatherer = Gatherer()
    >>> gatherer.add(pa.array(["007", "8 "]), pa.array([5, 6]), pa.array(["3.5", "five"]), None)
    >>> gatherer.frame().to_dict("list")
    {'user_id': ['007', '8'], 'item_id': [5, 6], 'rating': [3.5, nan]}
    >>> gatherer.unread_ratings.texts, gatherer.notes
    ({1: 'five'}, ["user_id: 1 written otherwise than they are compared, such as '8 ' for '8'"])
    """

    def __init__(self, date_order: DateOrder | None = None) -> None:
        self.n_rows = 0
        self.unread_ratings = Unread("rating")
        self._users = _Ids("user_id")
        self._items = _Ids("item_id")
        self._ratings = Column(np.float64)
        self._times = Times(date_order)
        self._n_commas = 0

    def add(
        self, users: "pa.Array[Any]", items: "pa.Array[Any]", ratings: "pa.Array[Any]", times: "pa.Array[Any] | None"
    ) -> None:
        """Append a batch of Arrow columns of equal length, of any type; `times` in each batch or in none."""
        self._users.extend_by(users)
        self._items.extend_by(items)
        self._ratings.extend(self._floats(ratings))
        if times is not None:
            self._times.add(times)
        self.n_rows += len(users)

    def frame(self) -> pd.DataFrame:
        """What was gathered, given away, so that this can be called once.

        Raises:
            DataInvalid: dates may have the day or the month first.
        """
        pa.default_memory_pool().release_unused()  # what the batches took
        columns: dict[str, Any] = {
            "user_id": self._users.finish(),
            "item_id": self._items.finish(),
            "rating": self._ratings.finish(),
        }
        if self._times.n == self.n_rows > 0:
            times = self._times.finish()
            if self._times.unread.count or not pd.isna(times).all():
                columns["timestamp"] = times
        return pd.DataFrame(columns, copy=False)

    @property
    def unread_times(self) -> Unread:
        """What is no time, once the frame has been given."""
        return self._times.unread

    @property
    def notes(self) -> list[str]:
        """What was normalized or understood in one of several ways, a sentence each."""
        commas = [f"rating: {self._n_commas:,} with a decimal comma"] if self._n_commas else []
        return [*self._users.notes, *self._items.notes, *commas, *self._times.notes]

    def _floats(self, column: "pa.Array[Any]") -> NDArray[np.float64]:
        read = try_cast(column, pa.float64())
        if read is not None:
            values = read.to_numpy(zero_copy_only=False)
            suspects = np.flatnonzero(np.isinf(values))
            values = np.where(np.isinf(values), np.nan, values) if len(suspects) else values
        else:
            texts = texts_of(column).str.strip()
            with_comma = texts.str.fullmatch(r"[-+]?\d+,\d+").to_numpy(np.bool_)
            self._n_commas += int(with_comma.sum())
            texts = texts.where(~with_comma, texts.str.replace(",", "."))
            values = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, copy=True)
            values[np.isinf(values)] = np.nan
            suspects = np.flatnonzero(np.isnan(values) & ~texts.map(is_missing).to_numpy(np.bool_))
        if len(suspects):
            doubtful = [str(number) for number in column.take(pa.array(suspects)).to_pylist()]
            self.unread_ratings.add(suspects + self.n_rows, doubtful)
        return np.asarray(values, dtype=np.float64)


class _Ids:
    """One id column: integers as long as all are, places in a list of texts from the first that is not."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known = Column(np.int64)
        self._missing: list[NDArray[np.int64]] = []
        self._texts: dict[str, int] | None = None
        self._n_rewritten = 0
        self._example = ""

    @property
    def notes(self) -> list[str]:
        if not self._n_rewritten:
            return []
        return [
            f"{self._name}: {self._n_rewritten:,} written otherwise than they are compared, such as {self._example}"
        ]

    def extend_by(self, column: "pa.Array[Any]") -> None:
        """Append a batch of ids of any type."""
        codes, distinct = self._distinct(column)
        plain = try_cast(distinct, pa.int64()) if _is_plain(distinct) else None
        texts = None if plain is not None else self._compared(codes, distinct)
        known = as_integers(_filled(texts, "0")) if plain is None else plain.to_numpy(zero_copy_only=False)
        if known is None and self._texts is None:
            self._turn_into_texts()
        if self._texts is not None:
            known = self._places(_filled(texts, "") if plain is None else [str(number) for number in plain.to_pylist()])
        assert known is not None
        missing = codes < 0
        if texts is not None and None in texts:
            missing |= np.array([text is None for text in texts])[codes]
        if missing.any():
            self._missing.append(np.flatnonzero(missing) + self._known.n)
        self._known.extend(known[codes] if len(known) else np.zeros(len(codes), np.int64))

    def finish(self) -> Any:
        """The column, given away: int64, masked integers, or text with None where an id is missing."""
        values = self._known.finish()
        missing = np.concatenate(self._missing) if self._missing else np.empty(0, np.int64)
        if self._texts is not None:
            known = np.array([*self._texts, None], dtype=object)
            values[missing] = len(known) - 1
            return pd.Series(known[values], dtype=object)
        if not len(missing):
            return values
        mask = np.zeros(len(values), np.bool_)
        mask[missing] = True
        return pd.arrays.IntegerArray(values, mask)

    def _distinct(self, column: "pa.Array[Any]") -> "tuple[NDArray[np.int64], pa.Array[Any]]":
        """Each row's place among the distinct values (−1: none), and those."""
        if isinstance(column, pa.ExtensionArray):
            column = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
        if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
            column = try_cast(column, pa.int64()) or column
        try:
            encoded = column.dictionary_encode()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            raise DataInvalid(f"{self._name} is of type {column.type}: give ids as text or numbers.") from None
        return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary

    def _compared(self, codes: NDArray[np.int64], distinct: "pa.Array[Any]") -> list[str | None]:
        """The texts that the distinct values are compared by; None: missing."""
        values = distinct.to_pylist()
        texts = [id_text(value) for value in values]
        rewritten = [
            place
            for place, (value, text) in enumerate(zip(values, texts, strict=True))
            if text is not None and isinstance(value, str) and value != text
        ]
        if rewritten:
            self._n_rewritten += int(np.bincount(codes[codes >= 0], minlength=len(values))[rewritten].sum())
            self._example = self._example or f"{values[rewritten[0]]!r} for {texts[rewritten[0]]!r}"
        return texts

    def _turn_into_texts(self) -> None:
        self._texts = {}
        distinct, places = np.unique(self._known.values, return_inverse=True)
        self._known.values[:] = self._places([str(number) for number in distinct])[places]

    def _places(self, texts: list[str]) -> NDArray[np.int64]:
        """Where each of `texts` is in the list of all, new ones being put at its end."""
        assert self._texts is not None
        return np.array([self._texts.setdefault(text, len(self._texts)) for text in texts], dtype=np.int64)


def _filled(texts: "list[str | None] | None", blank: str) -> list[str]:
    return [blank if text is None else text for text in texts or ()]


def _is_plain(distinct: "pa.Array[Any]") -> bool:
    """Whether all are integers, or texts of integers as Python writes them: the usual case, taken whole."""
    if pa.types.is_integer(distinct.type):
        return True
    is_text = pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type)
    return is_text and bool(pc.all(pc.match_substring_regex(distinct, INTEGER)).as_py())
