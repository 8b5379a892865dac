"""Item-based neighborhoods, compressed to factors."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from pydantic import Field

from mfcore.data.ratings import Ratings, Scale
from mfcore.models.base import Range, Recommender, Training
from mfcore.models.baselines import BiasOnly
from mfcore.models.factors import Factors
from mfcore.models.item_weights import ItemWeights, Learned
from mfcore.models.popularity import Popularity

__all__ = ["ItemKNN"]

_CHUNK = 512
"""Items, or users, whose rows are held dense at a time."""
_EXPONENT = -0.5
"""Of the user's number of ratings: Koren's choice, between a sum (0) and a mean (-1) over them."""
_TINY = 1e-12
"""In place of a length or a count of 0: what is divided by it is 0 as well."""


class ItemKNN(Recommender):
    r"""Predicts from how the user rated an item's neighbors, beyond what biases explain.

    With residuals z_ui = r_ui − μ − b_u − b_i of biases alone, the similarity of two items is the
    cosine of their residuals, shrunk by how many users n_ij rated both,

        s_ij = n_ij / (n_ij + `shrink`) · Σ_u z_ui z_uj / (‖z_i‖ ‖z_j‖)

    Each item keeps its `n_neighbors` largest positive similarities, scaled to the sum 1, as
    row i of a matrix W, and

        r̂_ui = μ + b_u + b_i + c |R(u)|^(−1/2) Σ_{j ∈ R(u)} w_ij z_uj

    with c fitted by least squares (w_ii = 0, so that no rating explains itself). This is linear
    in the user's residuals, unlike the weighted mean, and hence a product of factors: W is
    compressed to `n_factors` by a truncated singular value decomposition, PQᵀ, which also takes
    away noise, so that y_i = c P_i and x_u = |R(u)|^(−1/2) Σ_j z_uj Q_j. There is one epoch.

    Source: Koren, "Factorization meets the neighborhood", KDD 2008 (shrinkage, the exponent −1/2).

    Attributes:
        n_factors: rank kept of the similarities.
        n_neighbors: similarities an item keeps.
        shrink: common raters at which a similarity counts half.
        reg_user_bias, reg_item_bias: as in `BiasOnly`.
        popularity_weight: as in `ALS`.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> ItemKNN(n_factors=2).train(Ratings.from_frame(frame, Scale(1, 5, 1))).item_factors.shape
    (3, 2)
    """

    algorithm: ClassVar[str] = "knn"
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(32, 256, log=True),
        "n_neighbors": Range(30, 1000, log=True),
        "shrink": Range(3, 300, log=True),
    }
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(16, 512, log=True),
        "n_neighbors": Range(30, 1000, log=True),
        "shrink": Range(3, 300, log=True),
        "popularity_weight": Range(0, 0.5, unit="width"),
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 256,
        "n_neighbors": 250,
        "shrink": 150.0,
        "popularity_weight": 0.15,
    }

    n_epochs: int = Field(1, ge=0)
    n_factors: int = Field(128, ge=1)
    n_neighbors: int = Field(300, ge=1)
    shrink: float = Field(50.0, ge=0)
    reg_user_bias: float = Field(5.0, gt=0)
    reg_item_bias: float = Field(2.0, gt=0)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)

    @classmethod
    def for_lists(cls, scale: Scale) -> "ItemKNN":
        """With the defaults for lists, of ratings on `scale`."""
        return cls(**cls.for_ranking(scale)[1])

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Fit the biases; similarities come with the first step. `start` is of no use here."""
        return _Neighborhoods(self, ratings)


class _Neighborhoods(ItemWeights):
    def __init__(self, recommender: ItemKNN, ratings: Ratings) -> None:
        self.recommender = recommender
        r = recommender
        self.biases = BiasOnly(reg_user_bias=r.reg_user_bias, reg_item_bias=r.reg_item_bias).train(ratings)
        popularity = Popularity(ratings, r.popularity_weight)
        super().__init__(ratings, self.biases, r.n_factors, r.seed, popularity, _EXPONENT, r.reg_user_bias)

    def learn(self) -> Learned:
        """Find neighbors."""
        ratings, biases = self.ratings, self.biases
        residuals = ratings.values.astype(np.float64) - biases.global_mean
        residuals -= biases.user_bias[ratings.users]
        residuals -= biases.item_bias[ratings.items]
        shape = ratings.n_users, ratings.n_items
        matrix = sp.csr_matrix((residuals, (ratings.users, ratings.items)), shape=shape)
        similar = self._similarities(matrix)
        users = sp.diags_array(np.maximum(np.diff(matrix.indptr), 1) ** _EXPONENT) @ matrix
        return Learned(users, similar, _slope(users, similar, ratings, residuals))

    def _similarities(self, matrix: sp.csr_matrix) -> sp.csr_array:
        """W: each item's largest shrunk cosines, scaled to the sum 1."""
        r = self.recommender
        columns = matrix.tocsc()
        rated = columns.copy()
        rated.data = np.ones_like(rated.data)
        lengths = np.maximum(np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel()), _TINY)
        rows, neighbors, values = [], [], []
        for first in range(0, matrix.shape[1], _CHUNK):
            items = np.arange(first, min(first + _CHUNK, matrix.shape[1]))
            common = (rated[:, items].T @ rated).toarray()
            cosines = (columns[:, items].T @ columns).toarray() / lengths[items, None] / lengths
            similar = np.where(common > 0, common / np.maximum(common + r.shrink, _TINY), 0) * cosines
            similar[np.arange(len(items)), items] = 0
            # A stable order breaks ties by code, and so the same way every time.
            best = np.argsort(-similar, axis=1, kind="stable")[:, : r.n_neighbors]
            kept = np.maximum(np.take_along_axis(similar, best, axis=1), 0)
            total = kept.sum(axis=1, keepdims=True)
            rows.append(np.repeat(items, best.shape[1]))
            neighbors.append(best.ravel())
            values.append((kept / np.where(total > 0, total, 1)).ravel())
        places = np.concatenate(rows), np.concatenate(neighbors)
        similar = sp.csr_array((np.concatenate(values), places), shape=(matrix.shape[1],) * 2)
        similar.eliminate_zeros()
        return similar


def _slope(users: sp.csr_array, similar: sp.csr_array, ratings: Ratings, residuals: NDArray[np.float64]) -> float:
    """c: the slope of residuals on what neighbors say of them."""
    order = np.argsort(ratings.users, kind="stable")
    starts = np.searchsorted(ratings.users[order], np.arange(ratings.n_users + 1))
    above = below = 0.0
    for first in range(0, ratings.n_users, _CHUNK):
        last = min(first + _CHUNK, ratings.n_users)
        rows = order[starts[first] : starts[last]]
        said = (users[first:last] @ similar.T).toarray()[ratings.users[rows] - first, ratings.items[rows]]
        above += float(np.sum(said * residuals[rows]))
        below += float(np.sum(said * said))
    return above / below if below > 0 else 0.0
