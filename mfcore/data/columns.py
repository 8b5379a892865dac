"""Columns that grow batch by batch, and what Arrow's columns are read with."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Column", "Unread", "texts_of", "try_cast"]

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


class Column:
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

    @property
    def values(self) -> NDArray[Any]:
        """What is there so far, to be changed in place."""
        return self._room[: self.n]

    def finish(self) -> Any:
        """The array, given away."""
        values, self._room = self._room, np.empty(0, self._room.dtype)
        values.resize(self.n, refcheck=False)
        return values


def texts_of(column: "pa.Array[Any]") -> "pd.Series[str]":
    """A column as text, missing values being empty."""
    return pd.Series(column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False), dtype=object)


def try_cast(column: "pa.Array[Any]", to: pa.DataType) -> "pa.Array[Any] | None":
    """The column cast to another type, or None where a value of it can't be."""
    try:
        return column.cast(to)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
