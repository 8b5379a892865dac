"""Parts of the test ratings that are looked at alone: users by activity, items by popularity, genres."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.items import aligned, genres_of
from mfcore.data.ratings import Ratings

__all__ = ["ALL", "Slice", "genres", "head_and_tail", "users_by_activity"]

ALL = "all"
"""The name of the whole."""

_HEAD = 0.8
"""Share of training ratings that the head's items hold together."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Slice:
    """Some of the users, or some of the items.

    Attributes:
        name: as in tables.
        meaning: who or what is in it, in words.
        users: (n_users,); who is in it. None: everybody.
        items: (n_items,); what is in it. None: everything.
    """

    name: str
    meaning: str
    users: Mask | None = None
    items: Mask | None = None

    def of(self, ratings: Ratings) -> Mask:
        """Which of `ratings` are in it, (n,)."""
        inside = np.ones(len(ratings), np.bool_)
        if self.users is not None:
            inside &= self.users[ratings.users]
        if self.items is not None:
            inside &= self.items[ratings.items]
        return inside


def users_by_activity(train: Ratings, among: NDArray[np.int32]) -> list[Slice]:
    """Light, medium and heavy users: thirds of the users `among`, by their number of training ratings.

    Users with the same number are in the same third, so that thirds are as equal as that allows.

    Args:
        train: whose ratings are counted.
        among: codes of users.
    """
    counts = np.bincount(train.users, minlength=train.n_users)
    first, second = np.quantile(counts[among], [1 / 3, 2 / 3], method="inverted_cdf") if len(among) else (0, 0)
    light, heavy = counts <= first, counts > second
    middle = f"{first + 1} to {second} training ratings" if second > first else "nobody: light users have as many"
    return [
        Slice("light users", f"at most {first} training ratings", users=light),
        Slice("medium users", middle, users=~light & ~heavy),
        Slice("heavy users", f"more than {second} training ratings", users=heavy),
    ]


def head_and_tail(train: Ratings) -> list[Slice]:
    """Head items, the fewest that together hold 80 % of the training ratings, and the tail, all others.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Scale
    >>> frame = pd.DataFrame({"user_id": range(5), "item_id": [7, 7, 7, 7, 9], "rating": 3.0})
    >>> [one.items.tolist() for one in head_and_tail(Ratings.from_frame(frame, Scale(1, 5)))]
    [[True, False], [False, True]]
    """
    counts = np.bincount(train.items, minlength=train.n_items)
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    head = np.zeros(train.n_items, np.bool_)
    head[order[before < _HEAD * len(train)]] = True
    n = np.count_nonzero(head)
    return [
        Slice("head items", f"the {n:,} most rated, which hold 80 % of the training ratings", items=head),
        Slice("tail items", f"the other {train.n_items - n:,}", items=~head),
    ]


def genres(items: pd.DataFrame | None, item_ids: NDArray[np.int64] | NDArray[np.object_]) -> Iterator[Slice]:
    """A slice for each genre that items have, in alphabetical order; none where none are known.

    Args:
        items: item_id and genres, separated by "|"; an item is in the slice of each of its own.
        item_ids: the ids of the codes.

    >>> table = pd.DataFrame({"item_id": ["8", "3"], "genres": ["Drama|War", "Drama"]})
    >>> [(one.name, one.items.tolist()) for one in genres(table, np.array([3, 8]))]
    [('genre Drama', [True, True]), ('genre War', [False, True])]
    """
    if items is None or "genres" not in items:
        return
    names, has = genres_of(aligned(items, item_ids)["genres"])
    for name, inside in zip(names, has.T, strict=True):
        yield Slice(f"genre {name}", f"{np.count_nonzero(inside):,} items", items=inside)
