"""`RatedItems`: which items each user has rated, so that they are not recommended again."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings

__all__ = ["RatedItems"]


@dataclass(frozen=True, eq=False)
class RatedItems:
    """The rated items of each user, one user after the other.

    Attributes:
        starts: int64, (n_users + 1,); user u's items are `items[starts[u]:starts[u + 1]]`.
        items: int32, (n,); item codes.
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def of(cls, ratings: Ratings) -> "RatedItems":
        """Who rated what in `ratings`."""
        from mfcore.models.kernels.sparse import compress

        starts, items, _ = compress(ratings.users, ratings.items, ratings.values, ratings.n_users)
        return cls(starts=starts, items=items)

    def rows(self, users: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The same structure for `users` alone, in their order; an unknown user (−1) has rated nothing."""
        counts = np.where(users >= 0, self.starts[users + 1] - self.starts[users], 0)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        places = np.arange(bounds[-1]) + np.repeat(self.starts[users] - bounds[:-1], counts)
        return bounds, self.items[places]
