"""How well somebody new is served: users that a model never saw, folded in from their first ratings."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.machine import one_blas_thread
from mfcore.models.factors import Factors

__all__ = ["NUMBERS_KNOWN", "ColdStartUsers"]

NUMBERS_KNOWN = (0, 1, 2, 5, 10, 20)
"""How many of their ratings are known."""
_SHARE, _MOST = 0.1, 200
"""ColdStartUsers at most, as a share of users and in number."""


@dataclass(frozen=True, eq=False)
class ColdStartUsers:
    """Users who play the part of new ones.

    Their training ratings are kept from the model, which is trained anew without them, so that not
    even item factors know them. Then their first ratings are folded in, in the order of time, or
    in a random one where there are no times, and their test ratings are predicted. Whatever the
    number of ratings known, they are the same users and the same test ratings.

    Attributes:
        users: codes, ascending.
        others: the training ratings of all other users, over the same codes, without times.
        first: (items, values) of each user's first 20 training ratings, in their order.
        test: these users' test ratings.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> from mfcore.models import BiasOnly
    >>> ratings = Ratings.from_frame(synthesize(40, 60, 1200).frame, Scale(1, 5, 1))
    >>> cold_start = ColdStartUsers.draw(ratings.take(np.arange(0, 1200, 2)), ratings.take(np.arange(1, 1200, 2)))
    >>> [number for number, predicted in cold_start.predictions(BiasOnly().train(cold_start.others))]
    [0, 1, 2, 5, 10, 20]
    """

    users: NDArray[np.int32]
    others: Ratings
    first: list[tuple[NDArray[np.int32], NDArray[np.float32]]]
    test: Ratings

    @classmethod
    def draw(cls, train: Ratings, test: Ratings, seed: int = 0) -> "ColdStartUsers":
        """Draw a tenth of the users with a test rating, 200 at most, from those with 20 training ratings or more."""
        random = np.random.default_rng(seed)
        counts = np.bincount(train.users, minlength=train.n_users)
        tested = np.bincount(test.users, minlength=train.n_users) > 0
        able = np.flatnonzero(tested & (counts >= NUMBERS_KNOWN[-1]))
        wanted = min(len(able), _MOST, int(np.ceil(_SHARE * np.count_nonzero(tested))))
        users = np.sort(random.permutation(able)[:wanted]).astype(np.int32)
        is_new = np.zeros(train.n_users, np.bool_)
        is_new[users] = True
        own = train.take(np.flatnonzero(is_new[train.users]))
        when = random.random(len(own)) if own.times is None else own.times
        own = own.take(np.lexsort((own.items, when, own.users)))
        starts = np.searchsorted(own.users, users)
        spans = [slice(start, start + NUMBERS_KNOWN[-1]) for start in starts]
        return cls(
            users=users,
            others=train.without_times().take(np.flatnonzero(~is_new[train.users])),
            first=[(own.items[span], own.values[span]) for span in spans],
            test=test.take(np.flatnonzero(is_new[test.users])),
        )

    def predictions(self, factors: Factors) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """For 0, 1, 2, 5, 10 and 20 ratings known: that number, and the test ratings predicted from them.

        Args:
            factors: trained on `others`.
        """
        rows = [np.flatnonzero(self.test.users == user) for user in self.users]
        for number in NUMBERS_KNOWN:
            predicted = np.empty(len(self.test), np.float32)
            # Systems are small: more threads would wait for each other, and give other bits.
            with one_blas_thread():
                for (items, values), own in zip(self.first, rows, strict=True):
                    folded = factors.fold_in(items[:number], values[:number])
                    predicted[own] = folded.predict(np.zeros(len(own), np.int32), self.test.items[own])
            yield number, predicted
