"""Bayesian probabilistic matrix factorization by Gibbs sampling."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mfcore.data.ratings import Ratings
from mfcore.machine import one_blas_thread
from mfcore.models.alternation import Alternation
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Block, Estimate, Side
from mfcore.models.mixing import weighted_sum
from mfcore.models.popularity import Popularity
from mfcore.models.prior import Prior
from mfcore.models.scaling import Missing, Units, standard_deviation

__all__ = ["BPMF"]


class BPMF(Recommender):
    r"""Bayesian probabilistic matrix factorization: the mean over the posterior instead of its mode.

    With standardized ratings z_ui and rows ũ = [x_u; b_u], ĩ = [y_i; b_i],

        z_ui ~ N(b_u + b_i + x_u·y_i, 1/α)
        ũ ~ N(μ_U, Λ_U⁻¹),  ĩ ~ N(μ_I, Λ_I⁻¹)
        (μ, Λ) ~ N(μ | 0, (β₀Λ)⁻¹) Wishart(Λ | I, ν₀)  for either side,  α ~ Gamma

    An epoch is one Gibbs sweep: draw (μ_I, Λ_I) given the items' rows, then each item's row given
    the users', then the same for users, then α. After `burn_in` sweeps draws are kept, thinned
    evenly to at most `n_draws`; prediction is their mean, which is again one dot product: the
    draws' factors side by side over their number. `Factors.deviation` says how far they are apart.

    With `missing_weight` above 0, pairs without a rating count as weak ratings, as in `ALS`, in the rows'
    and in the noise's conditional. Biases are left out then and μ is 0.

    Source: Salakhutdinov, Mnih, "Bayesian probabilistic matrix factorization using Markov chain
    Monte Carlo", ICML 2008; biases and the prior on α are additions to it.

    Attributes:
        n_factors: k, length of a draw's factor row.
        burn_in: sweeps before draws are kept.
        n_draws: draws kept at most; the factors have n_draws · (k + 2) columns, n_draws · k without biases.
        missing_weight, missing_rating, popularity_weight: as in `ALS`.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> factors = BPMF(n_factors=2, n_epochs=12, burn_in=4).train(Ratings.from_frame(frame, Scale(1, 5, 1)))
    >>> factors.n_draws, factors.n_factors
    (8, 32)
    """

    algorithm: ClassVar[str] = "bpmf"
    space: ClassVar[dict[str, Range]] = {"n_factors": Range(8, 64, log=True)}
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 48, log=True),
        **LIST_RANGES,
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 24,
        "missing_weight": 0.2,
        "missing_rating": -0.2,
        "popularity_weight": 0.035,
    }
    max_epochs: ClassVar[int | None] = 120
    patience: ClassVar[int | None] = 30

    n_factors: int = Field(32, ge=1)
    n_epochs: int = Field(120, ge=0)
    burn_in: int = Field(20, ge=0)
    n_draws: int = Field(50, ge=1)
    missing_weight: float = Field(0.0, ge=0, le=1)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Start from small random user factors.

        A chain can't be taken up from its mean, so `start` must be None.

        Raises:
            ValueError: `start` is given.
        """
        if start is not None:
            raise ValueError("bpmf cannot continue from factors: they are a mean, not a state of its chain")
        return _Chain(self, ratings)


class _Chain(Alternation):
    """A Markov chain over both sides' rows, the priors' parameters and the noise."""

    def __init__(self, recommender: BPMF, ratings: Ratings) -> None:
        k = recommender.n_factors
        missing = Missing(recommender.missing_weight, recommender.missing_rating)
        prior = Prior.ridge(k, 1.0, np.inf if missing.weight else 1.0)
        super().__init__(
            recommender,
            ratings,
            None,
            units=Units.of(ratings, standard_deviation(ratings), missing),
            n_factors=k,
            user_prior=prior,
            item_prior=prior,
            popularity=Popularity(ratings, recommender.popularity_weight, for_lists=missing.weight > 0),
            missing_weight=missing.weight,
            estimate=Estimate.DRAW,
        )
        self.burn_in, self.n_draws = recommender.burn_in, recommender.n_draws
        self.every = 1
        self.draws: list[Factors] = []

    def step(self) -> None:
        """One Gibbs sweep."""
        if len(self.ratings):
            self.item_prior = self._draw_prior(self.by_item, self.items)
            self.user_prior = self._draw_prior(self.by_user, self.users)
        super().step()
        self.noise = self._draw_noise()
        if self.epoch > self.burn_in and (self.epoch - self.burn_in - 1) % self.every == 0:
            if len(self.draws) == self.n_draws:
                # Full: keep every other draw, and from now on half as many as before.
                self.draws = self.draws[::2]
                self.every *= 2
            if (self.epoch - self.burn_in - 1) % self.every == 0:
                self.draws.append(super().factors())

    def _draw_prior(self, side: Side, block: Block) -> Prior:
        """Draw (μ, Λ) given a side's rows with ratings; as a prior in units of the noise's precision."""
        rated = np.diff(side.starts) > 0
        factors = block.factors[rated, : self.n_factors]
        rows = np.column_stack([factors, block.bias[rated]]).astype(np.float64)
        if self.missing_weight:
            return self._draw_centered_prior(rows[:, :-1])
        n, m = rows.shape
        mean = rows.mean(axis=0)
        apart = rows - mean
        beta = _BETA + n
        with one_blas_thread():  # another number of threads would be other bits
            scatter = np.eye(m) + apart.T @ apart + _BETA * n / beta * np.outer(mean, mean)
        root = _wishart_root(self.random, scatter, m + n)
        center = n / beta * mean + np.linalg.solve(root.T, self.random.standard_normal(m)) / np.sqrt(beta)
        return Prior((root @ root.T * self.noise**2).astype(np.float32), center.astype(np.float32))

    def _draw_centered_prior(self, rows: NDArray[np.float64]) -> Prior:
        """Draw Λ about μ = 0, biases left out."""
        n, m = rows.shape
        with one_blas_thread():
            root = _wishart_root(self.random, np.eye(m) + rows.T @ rows, m + n)
        prior = Prior.ridge(m, 1.0)
        prior.precision[:m, :m] = root @ root.T * self.noise**2
        return prior

    def _draw_noise(self) -> float:
        """Draw the noise's standard deviation given all errors."""
        error, weight = self.squared_error()
        return float(1 / np.sqrt(self.random.gamma(_SHAPE + weight / 2, 1 / (_SHAPE + error / 2))))

    def factors(self) -> Factors:
        """The mean over the draws kept so far; before there are any, the latest draw."""
        if not self.draws:
            return super().factors()
        return weighted_sum(self.draws, np.full(len(self.draws), 1 / len(self.draws)), are_draws=True)


_BETA = 2.0
"""β₀ of the paper: how many rows the prior's mean is worth."""
_SHAPE = 1.0
"""Shape and rate of the Gamma prior on α: worth two ratings with the whole spread as error."""


def _wishart_root(random: np.random.Generator, inverse_scale: NDArray[np.float64], freedom: int) -> NDArray[np.float64]:
    """A matrix R with RRᵀ drawn from the Wishart distribution, by Bartlett's decomposition."""
    m = len(inverse_scale)
    lower = np.tril(random.standard_normal((m, m)), -1)
    lower[np.arange(m), np.arange(m)] = np.sqrt(random.chisquare(freedom - np.arange(m)))
    return np.linalg.solve(np.linalg.cholesky(inverse_scale).T, lower)
