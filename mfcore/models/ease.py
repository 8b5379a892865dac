"""EASE: each item from all others by ridge regression, compressed to factors."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.errors import UsageError
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.item_weights import ItemWeights, Learned
from mfcore.models.popularity import Popularity
from mfcore.models.scaling import standard_deviation

__all__ = ["EASE", "item_regression"]

_MOST_ITEMS = 20_000
"""Items up to which the dense matrix of weights is made: 3.2 GB."""
_CHUNK = 512


class EASE(Recommender):
    r"""An embarrassingly shallow autoencoder on the ratings' values, as a pair of factors.

    With z_ui = (r_ui − r) / σ for rated pairs and 0 for all others, which thereby count as a rating
    of r, `missing_rating`, each item's column is regressed on all other items',

        min_B ‖Z − Z B‖² + λ ‖B‖²,  diag B = 0

    which is solved in closed form: with P = (ZᵀZ + λI)⁻¹, B_ji = −P_ji / P_ii off the diagonal. The
    scores r + σ Z B are linear in a user's ratings. B is compressed to `n_factors` by a truncated
    singular value decomposition, which on ratings of films also makes better lists than all of B. There is
    one epoch, and no bias; scores order lists and are no ratings (`Popularity` says what follows).

    Time grows with the cube of the number of items and memory with its square, so that it is for
    20,000 items at most.

    Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019 (B); there, on
    implicit feedback, Z is 0 or 1.

    Attributes:
        n_factors: rank kept of B.
        reg: λ, in squared standard deviations of ratings.
        missing_rating: r, the rating that a pair without one counts as; it may be off the scale.
        popularity_weight: as in `ALS`.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [1, 2, 1, 2, 1], "rating": [5.0, 4, 4, 5, 5]})
    >>> factors = EASE(n_factors=2, reg=1.0).train(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> who_rated_only_the_first = factors.scores(np.array([2], np.int32))[0]
    >>> bool(who_rated_only_the_first[1] > 1)
    True
    """

    algorithm: ClassVar[str] = "ease"
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(16, 512, log=True),
        "reg": Range(100, 30_000, log=True),
        "missing_rating": LIST_RANGES["missing_rating"],
        "popularity_weight": LIST_RANGES["popularity_weight"],
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {"missing_rating": -0.1, "popularity_weight": 0.0}
    n_epochs: int = Field(1, ge=0)
    n_factors: int = Field(64, ge=1)
    reg: float = Field(3000.0, gt=0)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Nothing is learned before the first step. `start` is of no use here.

        Raises:
            UsageError: more items than the dense matrix is made for.
        """
        if ratings.n_items > _MOST_ITEMS:
            raise UsageError(
                f"ease holds a matrix of items × items and takes {_MOST_ITEMS:,} items at most, not "
                f"{ratings.n_items:,}: leave rarely rated ones out, or take als with missing_weight."
            )
        return _Regression(self, ratings)


class _Regression(ItemWeights):
    def __init__(self, recommender: EASE, ratings: Ratings) -> None:
        self.recommender = recommender
        r = recommender
        nothing = Factors(
            global_mean=r.missing_rating,
            user_bias=np.zeros(ratings.n_users, np.float32),
            item_bias=np.zeros(ratings.n_items, np.float32),
            user_factors=np.zeros((ratings.n_users, 0), np.float32),
            item_factors=np.zeros((ratings.n_items, 0), np.float32),
            user_ids=ratings.user_ids,
            item_ids=ratings.item_ids,
            scale=ratings.scale,
        )
        popularity = Popularity(ratings, r.popularity_weight, for_lists=True)
        super().__init__(ratings, nothing, r.n_factors, r.seed, popularity, 0.0, np.inf)

    def learn(self) -> Learned:
        """Regress each item on all others."""
        ratings, r = self.ratings, self.recommender
        values = ratings.values.astype(np.float64) - r.missing_rating
        users = sp.csc_array((values, (ratings.users, ratings.items)), shape=(ratings.n_users, ratings.n_items))
        weights = item_regression(users, r.reg * standard_deviation(ratings) ** 2)
        return Learned(users, weights.T, 1.0)


def item_regression(users: sp.csc_array, reg: float) -> NDArray[np.float64]:
    """B, (n_items, n_items), with which `users` @ B best gives `users` back, its diagonal 0, under ridge `reg`."""
    from scipy.linalg.lapack import dpotrf, dpotri

    n = users.shape[1]
    weights = np.empty((n, n), order="F")
    for first in range(0, n, _CHUNK):
        weights[:, first : first + _CHUNK] = (users.T @ users[:, first : first + _CHUNK]).toarray()
    diagonal = np.arange(n), np.arange(n)
    weights[diagonal] += reg
    # The inverse by its Cholesky factor, in place; LAPACK fills the lower half alone.
    inverse: NDArray[np.float64] = dpotri(dpotrf(weights, lower=1, overwrite_a=1)[0], lower=1, overwrite_c=1)[0]
    for row in range(n):
        inverse[row, row + 1 :] = inverse[row + 1 :, row]
    inverse /= -inverse.diagonal()
    inverse[diagonal] = 0
    return inverse
