"""`Ratings`: what every source becomes, and what every check, split and trainer reads."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.errors import DataInvalid

__all__ = ["Ids", "Ratings", "Scale", "find_codes", "load_ids", "save_ids"]

Ids = NDArray[Any]
"""Ids as they came, sorted and unique: int64, or strings (dtype object)."""


@dataclass(frozen=True)
class Scale:
    """The values a rating can take: from `minimum` to `maximum`, in steps of `step` (None: real-valued).

    >>> Scale(1, 5, 1).clip(np.array([0.2, 3.3, 9], np.float32)).tolist()
    [1.0, 3.299999952316284, 5.0]
    """

    minimum: float
    maximum: float
    step: float | None = None

    def clip(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """`values` moved onto the scale."""
        return np.clip(values, np.float32(self.minimum), np.float32(self.maximum))

    @property
    def width(self) -> float:
        """Distance of the highest from the lowest rating."""
        return self.maximum - self.minimum


@dataclass(frozen=True, eq=False)
class Ratings:
    """Explicit ratings over interned ids.

    Inside, users and items are codes: positions in `user_ids` and `item_ids`, which are
    sorted, so that equal data gives equal codes whatever the order of its rows.

    Attributes:
        users: int32, (n,); code of each rating's user.
        items: int32, (n,); code of each rating's item.
        values: float32, (n,); the ratings.
        times: int64, (n,); seconds since 1970, or None where the source has no times.
        user_ids: (n_users,); sorted, unique.
        item_ids: (n_items,); sorted, unique.
        scale: what values are possible.

    Raises:
        DataInvalid: a code without an id, as a missing id has, or a rating that is not a finite number.

    >>> frame = pd.DataFrame({"user_id": ["b", "a"], "item_id": [7, 9], "rating": [4.0, 2.0]})
    >>> ratings = Ratings.from_frame(frame, Scale(1, 5, 1))
    >>> ratings.users.tolist(), ratings.user_ids.tolist(), ratings.times is None
    ([1, 0], ['a', 'b'], True)
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    times: NDArray[np.int64] | None
    user_ids: Ids
    item_ids: Ids
    scale: Scale

    def __post_init__(self) -> None:
        for what, codes, ids in (("user", self.users, self.user_ids), ("item", self.items, self.item_ids)):
            if len(codes) and not (0 <= codes.min() and codes.max() < len(ids)):
                missing = np.flatnonzero((codes < 0) | (codes >= len(ids)))
                raise DataInvalid(
                    f"{len(missing)} of {len(codes)} ratings have no {what} id, the first is row {missing[0]} "
                    "counted from 0: leave them out."
                )
        # A sum of finite float32 in float64 is finite.
        if not np.isfinite(np.sum(self.values, dtype=np.float64)):
            missing = np.flatnonzero(~np.isfinite(self.values))
            raise DataInvalid(
                f"{len(missing)} of {len(self)} ratings are missing or no finite numbers, the first is row {missing[0]} "
                "counted from 0: leave them out."
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_users(self) -> int:
        """Number of known users, with or without ratings here."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of known items, with or without ratings here."""
        return len(self.item_ids)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, scale: Scale) -> "Ratings":
        """Intern a canonical frame: user_id, item_id, rating and, optionally, timestamp."""
        users, user_ids = _intern(frame["user_id"])
        items, item_ids = _intern(frame["item_id"])
        has_times = "timestamp" in frame and bool(frame["timestamp"].notna().all())
        return cls(
            users=users,
            items=items,
            values=np.ascontiguousarray(frame["rating"], dtype=np.float32),
            times=np.ascontiguousarray(frame["timestamp"], dtype=np.int64) if has_times else None,
            user_ids=user_ids,
            item_ids=item_ids,
            scale=scale,
        )

    def to_frame(self) -> pd.DataFrame:
        """The ratings as a canonical frame."""
        columns = {"user_id": self.user_ids[self.users], "item_id": self.item_ids[self.items], "rating": self.values}
        if self.times is not None:
            columns["timestamp"] = self.times
        return pd.DataFrame(columns)

    def take(self, rows: NDArray[np.int64]) -> "Ratings":
        """The ratings of `rows`, over the same ids."""
        return replace(
            self,
            users=self.users[rows],
            items=self.items[rows],
            values=self.values[rows],
            times=None if self.times is None else self.times[rows],
        )

    def save(self, folder: Path) -> None:
        """Write arrays and ids into `folder`; `load` gives the same bits."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "users.npy", self.users, allow_pickle=False)
        np.save(folder / "items.npy", self.items, allow_pickle=False)
        np.save(folder / "values.npy", self.values, allow_pickle=False)
        if self.times is not None:
            np.save(folder / "times.npy", self.times, allow_pickle=False)
        save_ids(folder / "user_ids.parquet", self.user_ids)
        save_ids(folder / "item_ids.parquet", self.item_ids)
        (folder / "scale.json").write_text(json.dumps(asdict(self.scale)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> "Ratings":
        """Read what `save` wrote; `mapped`, arrays stay on disk, and processes that read them share the memory."""

        def array(name: str) -> NDArray[Any]:
            # Mapped for writing into private copies, since arrays that can't be written are another type to Numba.
            return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c" if mapped else None, allow_pickle=False))

        return cls(
            users=array("users"),
            items=array("items"),
            values=array("values"),
            times=array("times") if (folder / "times.npy").exists() else None,
            user_ids=load_ids(folder / "user_ids.parquet"),
            item_ids=load_ids(folder / "item_ids.parquet"),
            scale=Scale(**json.loads((folder / "scale.json").read_text(encoding="utf-8"))),
        )


def _intern(column: "pd.Series[Any]") -> tuple[NDArray[np.int32], Ids]:
    codes, ids = pd.factorize(column, sort=True)
    plain = np.asarray(ids, dtype=np.int64 if pd.api.types.is_integer_dtype(column.dtype) else object)
    return codes.astype(np.int32), plain


def find_codes(ids: Ids, wanted: Any) -> NDArray[np.int32]:
    """The codes of `wanted` ids among the sorted `ids`; −1 where unknown.

    Ids read from a command line or JSON are text; they match integer ids as well.

    >>> find_codes(np.array([3, 8]), ["8", 5, 3]).tolist()
    [1, -1, 0]
    """
    if ids.dtype == np.int64:
        wanted = pd.to_numeric(pd.Series(list(wanted), dtype=object), errors="coerce")
    else:
        wanted = [str(one) for one in wanted]
    return pd.Index(ids).get_indexer(pd.Index(wanted)).astype(np.int32)


def save_ids(path: Path, ids: Ids) -> None:
    """Write `ids` as a one-column Parquet file."""
    pd.DataFrame({"id": ids}).to_parquet(path, index=False)


def load_ids(path: Path) -> Ids:
    """Read what `save_ids` wrote, as int64 or as objects."""
    column = pd.read_parquet(path)["id"]
    return column.to_numpy(dtype=np.int64 if pd.api.types.is_integer_dtype(column.dtype) else object)
