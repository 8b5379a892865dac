"""Models that are linear in a user's ratings, their item × item weights compressed to factors."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.machine import one_blas_thread
from mfcore.models.base import Training
from mfcore.models.factors import Factors
from mfcore.models.foldin import Part
from mfcore.models.popularity import Popularity

__all__ = ["ItemWeights", "Learned"]

_ITERATIONS = 4
"""Power iterations of the randomized decomposition."""
_SPARE = 16
"""Dimensions that it looks at beyond those that are kept."""


class Learned(NamedTuple):
    """What was learned.

    Attributes:
        users: what is known of users, (n_users, n_items), sparse.
        weights: W, (n_items, n_items), sparse or dense: item i's score has w_ij times what is known of item j.
        scale: c.
    """

    users: Any
    weights: Any
    scale: float


class ItemWeights(Training):
    r"""A fit of scores μ + b_u + b_i + c Σ_j w_ij z_uj, all done in the first step.

    With the truncated singular value decomposition W ≈ P Qᵀ, Q orthonormal, the sum is a dot product:
    y_i = c P_i, and x_u = Σ_j z_uj Q_j is a product too, so that a new user is folded in without solving.

    Source: Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011.
    """

    def __init__(
        self,
        ratings: Ratings,
        biases: Factors,
        n_factors: int,
        seed: int,
        popularity: Popularity,
        exponent: float,
        reg_user_bias: float,
    ) -> None:
        self.ratings, self.biases, self.n_factors, self.seed = ratings, biases, n_factors, seed
        self.popularity, self.exponent, self.reg_user_bias = popularity, exponent, reg_user_bias
        self.basis = np.zeros((ratings.n_items, n_factors), np.float32)
        self.weights = np.zeros((ratings.n_items, n_factors), np.float32)
        self.user_factors = np.zeros((ratings.n_users, n_factors), np.float32)

    @abstractmethod
    def learn(self) -> Learned:
        """Learn W from the ratings, of which there is one at least."""

    def step(self) -> None:
        """Learn the weights and compress them, once."""
        if self.epoch == 0 and len(self.ratings):
            with one_blas_thread():  # another number of threads would be other bits
                users, weights, scale = self.learn()
                left, right = _truncated(weights, self.n_factors, self.seed)
                self.basis[:, : right.shape[1]] = right
                self.weights[:, : left.shape[1]] = scale * left
                self.user_factors = (users @ self.basis).astype(np.float32)
        self.epoch += 1

    def factors(self) -> Factors:
        """The biases, and the weights once they are known."""
        biases, precision = self.biases, np.zeros((self.n_factors + 1,) * 2, np.float32)
        precision[-1, -1] = self.reg_user_bias
        part = Part(
            columns=self.n_factors,
            weight=1.0,
            global_mean=biases.global_mean,
            item_bias=biases.item_bias,
            precision=precision,
            exponent=self.exponent,
            basis=self.basis,
        )
        learned = replace(
            biases, user_factors=self.user_factors.copy(), item_factors=self.weights.copy(), parts=(part,)
        )
        return self.popularity.added_to(learned)


def _truncated(matrix: Any, rank: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left · rightᵀ, the best approximation of `matrix` of this rank, nearly; right has orthonormal columns."""
    n = matrix.shape[0]
    start = np.random.default_rng(seed).standard_normal((n, min(rank + _SPARE, n)))
    space = np.linalg.qr(matrix @ start)[0]
    for _ in range(_ITERATIONS):
        space = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ space)[0])[0]
    left, values, right = np.linalg.svd((matrix.T @ space).T, full_matrices=False)
    return space @ (left * values)[:, :rank], right[:rank].T
