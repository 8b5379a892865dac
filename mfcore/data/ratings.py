"""`Ratings`: what every source becomes, and what every check, split and trainer reads."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ids import Ids, find_codes, intern
from mfcore.data.times import UNKNOWN, as_seconds
from mfcore.errors import DataInvalid, SourceUnavailable, counted
from mfcore.storage.arrays import load_array

__all__ = ["Ids", "Ratings", "Scale", "find_codes", "load_ids", "load_titles", "save_ids", "titles_of"]

_TITLES = "titles.parquet"


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
        times: int64, (n,); seconds since 1970, `mfcore.data.times.UNKNOWN` where one is not known;
            None where the source has no times.
        user_ids: (n_users,); sorted, unique.
        item_ids: (n_items,); sorted, unique.
        scale: what values are possible.
        titles: (n_items,); the title of each item, where they are known.

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
    titles: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        for what, codes, ids in (("user", self.users, self.user_ids), ("item", self.items, self.item_ids)):
            if len(codes) and not (codes.min() >= 0 and codes.max() < len(ids)):
                missing = np.flatnonzero((codes < 0) | (codes >= len(ids)))
                raise DataInvalid(
                    f"{len(missing):,} of {counted(len(codes), 'rating')} have no {what} id, the first is row "
                    f"{missing[0]:,} counted from 0: leave them out."
                )
        # A sum of finite float32 in float64 is finite.
        if not np.isfinite(np.sum(self.values, dtype=np.float64)):
            missing = np.flatnonzero(~np.isfinite(self.values))
            raise DataInvalid(
                f"{len(missing):,} of {counted(len(self), 'rating')} are missing or no finite numbers, the first is "
                f"row {missing[0]:,} counted from 0: leave them out."
            )

        if self.titles is not None and len(self.titles) != len(self.item_ids):
            raise ValueError(f"{len(self.titles)} titles of {len(self.item_ids)} items")

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        on = f"{self.scale.minimum:g} to {self.scale.maximum:g}"
        return f"Ratings({len(self):,} of {self.n_users:,} users on {self.n_items:,} items, {on})"

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
        """Intern a frame: user_id, item_id, rating and, optionally, timestamp.

        Ids are compared by the rule of `mfcore.data.ids`; times are seconds, or moments of any resolution.

        Raises:
            DataInvalid: an id is missing or none, or a rating is not finite.
        """
        values = np.ascontiguousarray(frame["rating"], dtype=np.float32)
        if not np.isfinite(values).all():
            first = frame.index[int(np.argmin(np.isfinite(values)))]
            raise DataInvalid(
                f"row {first}: its rating is {frame['rating'].loc[first]}; take out rows without a rating."
            )
        users, user_ids = intern(frame["user_id"])
        items, item_ids = intern(frame["item_id"])
        times = as_seconds(frame["timestamp"]) if "timestamp" in frame else None
        return cls(users, items, values, times, user_ids, item_ids, scale)

    def to_frame(self) -> pd.DataFrame:
        """The ratings as a canonical frame."""
        columns: dict[str, Any] = {"user_id": self.user_ids[self.users], "item_id": self.item_ids[self.items]}
        columns["rating"] = self.values
        if self.times is not None:
            unknown = self.times == UNKNOWN
            columns["timestamp"] = pd.arrays.IntegerArray(self.times, unknown) if unknown.any() else self.times
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

    def without_times(self) -> "Ratings":
        """The same, in three fifths of the memory."""
        return replace(self, times=None)

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
        if self.titles is not None:
            pd.DataFrame({"title": self.titles}).to_parquet(folder / _TITLES, index=False)

    @classmethod
    def load(cls, folder: Path, *, mapped: bool = False) -> "Ratings":
        """Read what `save` wrote; `mapped`, arrays stay on disk, and processes that read them share the memory.

        Raises:
            SourceUnavailable: a file is missing, or holds what no ratings have.
        """
        user_ids, item_ids = load_ids(folder / "user_ids.parquet"), load_ids(folder / "item_ids.parquet")
        users = _load_codes(folder / "users.npy", len(user_ids), None, mapped)
        n = len(users)
        items = _load_codes(folder / "items.npy", len(item_ids), n, mapped)
        values = load_array(folder / "values.npy", np.float32, (n,), mapped=mapped)
        has_times = (folder / "times.npy").exists()
        times = load_array(folder / "times.npy", np.int64, (n,), mapped=mapped) if has_times else None
        path = folder / "scale.json"
        try:
            scale = Scale(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, OSError) as error:
            raise SourceUnavailable(f"{path} holds no scale.") from error
        has_titles = (folder / _TITLES).is_file()
        titles = load_titles(folder / _TITLES, len(item_ids)) if has_titles else None
        return cls(users, items, values, times, user_ids, item_ids, scale, titles)


def _load_codes(path: Path, n_ids: int, n: int | None, mapped: bool) -> NDArray[np.int32]:
    codes = load_array(path, np.int32, (n,), mapped=mapped)
    if len(codes) and not 0 <= codes.min() <= codes.max() < n_ids:
        raise SourceUnavailable(f"{path} holds codes from {codes.min()} to {codes.max()} of {n_ids} ids.")
    return codes


def titles_of(item_ids: Ids, items: pd.DataFrame | None) -> NDArray[np.object_]:
    """The title of each item by the table `items` (item_id, title); its id where there is none.

    >>> titles_of(np.array([1, 2]), pd.DataFrame({"item_id": [2], "title": ["Heat"]})).tolist()
    ['1', 'Heat']
    """
    titles = item_ids.astype(str).astype(object)
    if items is not None:
        codes = find_codes(item_ids, items["item_id"])
        given = (codes >= 0) & items["title"].notna().to_numpy()
        titles[codes[given]] = items["title"].to_numpy(dtype=object)[given]
    return titles


def save_ids(path: Path, ids: Ids) -> None:
    """Write `ids` as a one-column Parquet file."""
    pd.DataFrame({"id": ids}).to_parquet(path, index=False)


def load_ids(path: Path) -> Ids:
    """Read what `save_ids` wrote, as int64 or as objects.

    Raises:
        SourceUnavailable: it holds something else, or an id twice.
    """
    try:
        column = pd.read_parquet(path)["id"]
        ids = column.to_numpy(dtype=np.int64 if pd.api.types.is_integer_dtype(column.dtype) else object)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SourceUnavailable(f"{path} holds no ids.") from error
    if pd.api.types.infer_dtype(ids) not in ("integer", "string", "empty") or not bool((ids[1:] > ids[:-1]).all()):
        raise SourceUnavailable(f"{path} holds ids that are missing, doubled, not sorted or neither text nor numbers.")
    return ids


def load_titles(path: Path, n_items: int) -> NDArray[np.object_]:
    """Read the column `title` of a file that has one for each item.

    Raises:
        SourceUnavailable: it holds something else.
    """
    try:
        titles: NDArray[np.object_] = pd.read_parquet(path)["title"].to_numpy(dtype=object)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SourceUnavailable(f"{path} holds no titles.") from error
    if len(titles) != n_items:
        raise SourceUnavailable(f"{path} holds {len(titles)} titles of {n_items} items.")
    return titles
