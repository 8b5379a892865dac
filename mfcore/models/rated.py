"""`RatedItems`: what each user has rated, not to be recommended again, and how, to tell why something else is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.errors import SourceUnavailable, first_line
from mfcore.storage.arrays import load_array

__all__ = ["RatedItems"]


@dataclass(frozen=True, eq=False)
class RatedItems:
    """The rated items of each user, one user after the other.

    Attributes:
        starts: int64, (n_users + 1,); user u's items are `items[starts[u]:starts[u + 1]]`.
        items: int32, (n,); item codes.
        values: float32, (n,); the ratings; None where only it is known who rated what.

    Raises:
        ValueError: starts that don't lead through `items`, a code below 0, or not a value for each item.
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int32]
    values: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        starts, items = self.starts, self.items
        if starts.dtype != np.int64 or items.dtype != np.int32 or starts.ndim != 1 or items.ndim != 1:
            raise ValueError(f"starts and items are {starts.dtype} and {items.dtype}, not int64 and int32 in a row")
        if len(starts) == 0 or starts[0] != 0 or starts[-1] != len(items) or (np.diff(starts) < 0).any():
            raise ValueError(f"starts don't lead through {len(items)} items")
        if len(items) and items.min() < 0:
            raise ValueError(f"{items.min()} is no item's code")
        if self.values is not None and self.values.shape != items.shape:
            raise ValueError(f"{len(self.values)} values of {len(items)} items")

    @classmethod
    def of(cls, ratings: Ratings) -> "RatedItems":
        """Who rated what in `ratings`."""
        from mfcore.models.kernels.sparse import compress

        starts, items, values = compress(ratings.users, ratings.items, ratings.values, ratings.n_users)
        return cls(starts=starts, items=items, values=values)

    def rows(self, users: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The same structure for `users` alone, in their order; an unknown user (−1) has rated nothing."""
        counts = np.where(users >= 0, self.starts[users + 1] - self.starts[users], 0)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        places = np.arange(bounds[-1]) + np.repeat(self.starts[users] - bounds[:-1], counts)
        return bounds, self.items[places]

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`; `load` gives the same bits."""
        np.save(folder / "rated_starts.npy", self.starts, allow_pickle=False)
        np.save(folder / "rated_items.npy", self.items, allow_pickle=False)
        if self.values is not None:
            np.save(folder / "rated_values.npy", self.values, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, n_users: int, n_items: int) -> "RatedItems":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: a file is missing, or is not about `n_users` users and `n_items` items.
        """
        starts = load_array(folder / "rated_starts.npy", np.int64, (n_users + 1,))
        path = folder / "rated_items.npy"
        items = load_array(path, np.int32, (None,))
        has_values = (folder / "rated_values.npy").exists()
        values = load_array(folder / "rated_values.npy", np.float32, (len(items),)) if has_values else None
        try:
            if len(items) and items.max() >= n_items:
                raise ValueError(f"item {items.max()} of {n_items}")
            return cls(starts=starts, items=items, values=values)
        except ValueError as error:
            raise SourceUnavailable(f"{path} is not about these users and items: {first_line(error)}.") from error
