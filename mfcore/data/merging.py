"""New ratings merged into those that were accepted before."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mfcore.data.ratings import Ratings, Scale

__all__ = ["Merged", "merge", "merge_items"]


@dataclass(frozen=True, eq=False)
class Merged:
    """Ratings after a merge, and what the new ones brought.

    Attributes:
        ratings: of each (user, item) the latest rating.
        n_new: pairs that were not rated before.
        n_changed: pairs whose rating or time is another now.
        n_known: new ratings that said nothing new: the same, or older than what is there.
    """

    ratings: Ratings
    n_new: int
    n_changed: int
    n_known: int

    @property
    def is_unchanged(self) -> bool:
        """Whether there was nothing new."""
        return self.n_new == 0 and self.n_changed == 0


def merge(previous: Ratings, new: Ratings) -> Merged:
    """Merge `new` ratings into the `previous` ones by (user, item, time): the latest counts.

    Of two ratings of one pair at the same time, or where one side has no times, the new one
    counts. Ids that are integers on one side and text on the other are compared as text. The
    scale is the previous one, made wider where new ratings need it.

    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(20, 10, 100).frame, Scale(1, 5, 1))
    >>> merge(ratings, ratings).is_unchanged
    True
    """
    before, after = previous.to_frame(), new.to_frame()
    has_times = previous.times is not None and new.times is not None
    for column in ("user_id", "item_id"):
        if before[column].dtype != after[column].dtype:
            before[column], after[column] = (_as_text(frame[column]) for frame in (before, after))
    both = pd.concat([before, after], ignore_index=True)
    pair = both.groupby(["user_id", "item_id"], sort=False).ngroup().to_numpy()
    n_before = len(before)
    old_row = np.full(int(pair.max(initial=-1)) + 1, -1)
    old_row[pair[:n_before]] = np.arange(n_before)
    old = old_row[pair[n_before:]]
    is_new = old < 0
    values, times = both["rating"].to_numpy(), both["timestamp"].to_numpy() if has_times else None
    differs = values[n_before:] != values[old]
    is_later = np.ones(len(after), np.bool_)
    if times is not None:
        differs |= times[n_before:] != times[old]
        is_later = times[n_before:] >= times[old]
    is_changed = ~is_new & differs & is_later
    keep = np.ones(len(both), np.bool_)
    keep[old[is_changed]] = False
    keep[n_before:] = is_new | is_changed
    if not has_times:
        both = both.drop(columns="timestamp", errors="ignore")
    return Merged(
        ratings=Ratings.from_frame(both[keep], _widest(previous.scale, new.scale)),
        n_new=int(is_new.sum()),
        n_changed=int(is_changed.sum()),
        n_known=int((~is_new & ~is_changed).sum()),
    )


def merge_items(previous: pd.DataFrame | None, new: pd.DataFrame | None) -> pd.DataFrame | None:
    """The items of both tables; what the new one says of an item counts.

    >>> old = pd.DataFrame({"item_id": [1, 2], "title": ["Heat", "Casno"]})
    >>> merge_items(old, pd.DataFrame({"item_id": [2], "title": ["Casino"]}))["title"].tolist()
    ['Heat', 'Casino']
    """
    if previous is None or new is None:
        return new if previous is None else previous
    if previous["item_id"].dtype != new["item_id"].dtype:
        previous, new = (table.assign(item_id=_as_text(table["item_id"])) for table in (previous, new))
    return pd.concat([previous, new]).drop_duplicates("item_id", keep="last", ignore_index=True)


def _widest(one: Scale, other: Scale) -> Scale:
    return Scale(min(one.minimum, other.minimum), max(one.maximum, other.maximum), _common_step(one.step, other.step))


def _common_step(one: float | None, other: float | None) -> float | None:
    """The finer step, if steps of the coarser one are steps of it."""
    if one is None or other is None:
        return None
    fine, coarse = sorted((one, other))
    return fine if (coarse / fine).is_integer() else None


def _as_text(column: "pd.Series[int]") -> "pd.Series[str]":
    return pd.Series([str(one) for one in column], column.index, dtype=object)
