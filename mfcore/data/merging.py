"""New ratings merged into those that were accepted before."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.data.times import UNKNOWN

__all__ = ["Merged", "merge", "merge_items"]


@dataclass(frozen=True, eq=False)
class Merged:
    """Ratings after a merge, and what the new ones brought.

    Attributes:
        ratings: of each (user, item) the latest rating.
        n_new: pairs that were not rated before.
        n_changed: pairs whose rating or time is another now.
        n_known: new ratings that said nothing new: the same, or older than what is there.
        is_rescaled: whether they are on another scale now.
    """

    ratings: Ratings
    n_new: int
    n_changed: int
    n_known: int
    is_rescaled: bool

    @property
    def is_unchanged(self) -> bool:
        """Whether there was nothing new."""
        return self.n_new == 0 and self.n_changed == 0 and not self.is_rescaled


def merge(previous: Ratings, new: Ratings) -> Merged:
    """Merge `new` ratings into the `previous` ones by (user, item, time): the latest counts.

    Of two ratings of one pair at the same time, or where the time of one is not known, the new one
    counts. Known times stay known. Ids that are integers on one side and text on the other are
    compared as text. The scale is that of the new ratings, which were checked against it.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(20, 10, 100).frame, Scale(1, 5, 1))
    >>> merge(ratings, ratings).is_unchanged
    True
    """
    is_rescaled = new.scale != previous.scale
    if not len(new):
        return Merged(replace(previous, scale=new.scale), 0, 0, 0, is_rescaled)
    before, after = previous.to_frame(), new.to_frame()
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
    values = both["rating"].to_numpy()
    times = np.concatenate([_times(previous), _times(new)])
    is_known = times[n_before:] != UNKNOWN
    # A rating without a time says nothing of the time that was known.
    differs = (values[n_before:] != values[old]) | (is_known & (times[n_before:] != times[old]))
    is_later = ~is_known | (times[n_before:] >= times[old])
    is_changed = ~is_new & differs & is_later
    keep = np.ones(len(both), np.bool_)
    keep[old[is_changed]] = False
    keep[n_before:] = is_new | is_changed
    both = both[["user_id", "item_id", "rating"]][keep]
    if (times[keep] != UNKNOWN).any():
        both["timestamp"] = pd.arrays.IntegerArray(times[keep], times[keep] == UNKNOWN)
    return Merged(
        ratings=Ratings.from_frame(both, new.scale),
        n_new=int(is_new.sum()),
        n_changed=int(is_changed.sum()),
        n_known=int((~is_new & ~is_changed).sum()),
        is_rescaled=is_rescaled,
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


def _times(ratings: Ratings) -> NDArray[np.int64]:
    return np.full(len(ratings), UNKNOWN) if ratings.times is None else ratings.times


def _as_text(column: "pd.Series[int]") -> "pd.Series[str]":
    return pd.Series([str(value) for value in column], column.index, dtype=object)
