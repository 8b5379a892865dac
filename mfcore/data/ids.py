"""The one rule for ids, at whichever door they come in and whoever looks them up.

An id is compared by its text: white space at its ends is dropped, Unicode is composed (NFC), and a
whole number is itself however it was written (1, 1.0, Decimal("1.00")). What programs write for "no
value" (NULL, NaN, and so on) is a missing id. Where all ids of a column are integers they are kept as
int64, else as text, so that leading zeros stay.
"""

import math
import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.errors import DataInvalid, counted

__all__ = ["INTEGER", "Ids", "as_id", "as_integers", "find_codes", "id_text", "intern", "is_missing"]

Ids = NDArray[Any]
"""Ids sorted and unique: int64, or strings (dtype object)."""

INTEGER = r"^(0|-?[1-9][0-9]{0,18})$"
"""An integer as Python writes it: reading it as a number and writing it again loses nothing."""

_EDGE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u2060\ufeff"
_WHOLE = re.compile(r"(0|-?[1-9][0-9]*)\.0+")
_MISSING = frozenset(
    (
        "null",
        "nan",
        "-nan",
        "nat",
        "n/a",
        "<na>",
        "#n/a",
        "#na",
        "none",
        "(null)",
        "\\n",
        "1.#qnan",
        "-1.#ind",
        "1.#ind",
    )
)
"""In lower case; case is ignored."""
_AS_TEXT = UUID | date
_FEW = 100
"""Ids that are as fast looked at one by one as told apart first."""


def is_missing(text: str) -> bool:
    r"""Whether a text is what programs write for "no value".

    >>> [is_missing(text) for text in ("", "NULL", r"\N", "NA", "NaN", "None", "0", "Na")]
    [True, True, True, True, True, True, False, False]
    """
    return not text or text == "NA" or text.lower() in _MISSING


def id_text(value: Any) -> str | None:
    """The text that an id is compared by; None where it is missing.

    Args:
        value: text, a number, UTF-8 bytes, a UUID or a date.

    Raises:
        DataInvalid: it is of another type, or no UTF-8.

    >>> [id_text(value) for value in (7, 7.0, "7.0", " 7 ", "007", 7.5, "NULL", float("nan"))]
    ['7', '7', '7', '7', '007', '7.5', None, None]
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise DataInvalid(
                f"an id is {value[:20]!r}, bytes that are no text: give ids as text or numbers."
            ) from None
    if isinstance(value, str):
        if value.isascii() and value.isalnum():
            return None if is_missing(value) else str(value)
        value = unicodedata.normalize("NFC", value.strip(_EDGE))
        whole = _WHOLE.fullmatch(value)
        return whole[1] if whole else None if is_missing(value) else value
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, Real | Decimal) and not isinstance(value, bool):
        if not np.isfinite(float(value)):
            return None
        number = math.trunc(value.item() if isinstance(value, np.generic) else value)
        return str(number) if value == number else str(value)
    if isinstance(value, _AS_TEXT):
        return str(value)
    raise DataInvalid(f"an id is of type {type(value).__name__}: give ids as text or numbers.")


def as_id(ids: Ids, value: Any) -> Any:
    """An id, known or not, as `ids` have theirs: an integer where they are integers and it can be one, else text.

    >>> as_id(np.array([3, 8]), "7"), as_id(np.array([3, 8]), "x7"), as_id(np.array(["3", "b"], object), 7)
    (7, 'x7', '7')
    """
    text = id_text(value)
    return int(text) if text is not None and ids.dtype == np.int64 and re.match(INTEGER, text) else text


def as_integers(texts: Iterable[str]) -> NDArray[np.int64] | None:
    """The texts as int64, or None where one is no integer that fits."""
    texts = list(texts)
    if not all(re.match(INTEGER, text) for text in texts):
        return None
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except OverflowError:
        return None


def intern(column: "pd.Series[Any]") -> tuple[NDArray[np.int32], Ids]:
    """Codes and the ids they stand for, sorted and unique.

    Raises:
        DataInvalid: an id is missing, or of a type that is none.

    >>> intern(pd.Series(["b", "a ", "b"]))
    (array([1, 0, 1], dtype=int32), array(['a', 'b'], dtype=object))
    """
    if column.dtype == np.int64:
        codes, ids = pd.factorize(column.to_numpy(), sort=True)
        return codes.astype(np.int32), ids
    codes, texts = _distinct(column)
    if (codes < 0).any() or None in texts:
        n = int(np.isin(codes, [-1, *(place for place, text in enumerate(texts) if text is None)]).sum())
        raise DataInvalid(f"{column.name}: {n:,} of {counted(len(column), 'id')} are missing; take those rows out.")
    known: list[str] = [text for text in texts if text is not None]
    numbers = as_integers(known)
    ids, places = np.unique(np.array(known, dtype=object) if numbers is None else numbers, return_inverse=True)
    return places[codes].astype(np.int32), ids


def find_codes(ids: Ids, wanted: Any) -> NDArray[np.int32]:
    """The codes of `wanted` ids, of whatever type they come in, among the sorted `ids`; −1 where unknown.

    >>> find_codes(np.array([3, 8]), ["8", 5, 3.0]).tolist()
    [1, -1, 0]
    """
    if ids.dtype == np.int64 and getattr(wanted, "dtype", None) == np.int64:
        return _search(ids, np.asarray(wanted))
    wanted = list(wanted)
    texts: list[str | None]
    if len(wanted) <= _FEW:
        codes, texts = np.arange(len(wanted)), [id_text(id_) for id_ in wanted]
    else:
        codes, texts = _distinct(pd.Series(wanted, dtype=object))
    given = np.array([text or "" for text in texts], dtype=object)
    places = np.full(len(given) + 1, -1, np.int32)  # the last one answers for code −1
    if ids.dtype == np.int64:
        whole = np.array([_is_int64(text) for text in given], np.bool_)
        places[:-1][whole] = _search(ids, given[whole].astype(np.int64))
    else:
        places[:-1] = _search(ids, given)
    return places[codes]


def _is_int64(text: str) -> bool:
    return re.match(INTEGER, text) is not None and -(2**63) <= int(text) < 2**63


def _search(ids: Ids, wanted: NDArray[Any]) -> NDArray[np.int32]:
    """The places of `wanted` among the sorted `ids`, −1 for others; by halves, since a hash of all ids takes long."""
    if not len(ids):
        return np.full(len(wanted), -1, np.int32)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[places] == wanted, places, -1).astype(np.int32)


def _distinct(column: "pd.Series[Any]") -> tuple[NDArray[np.int64], list[str | None]]:
    """Each value's place among the distinct ones (−1: missing), and the texts of those."""
    try:
        codes, distinct = pd.factorize(column.astype(object))
    except TypeError:
        raise DataInvalid(f"{column.name or 'ids'}: lists and tables are no ids; give text or numbers.") from None
    return codes, [id_text(id_) for id_ in distinct]
