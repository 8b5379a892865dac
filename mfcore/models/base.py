"""What every trainer promises: `Recommender` (hyper-parameters) and `Training` (a fit under way)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.models.factors import Factors

__all__ = ["MODELS", "Range", "Recommender", "Training"]

MODELS: "dict[str, type[Recommender]]" = {}
"""Algorithm name → class; a class enters when it is defined."""


@dataclass(frozen=True)
class Range:
    """Where tuning searches a hyper-parameter: from `low` to `high`, evenly in the logarithm if `log`."""

    low: float
    high: float
    log: bool = False


class Training(ABC):
    """A fit under way: each `step` is one epoch, and `factors` may be asked for after any of them."""

    epoch: int = 0

    @abstractmethod
    def step(self) -> None:
        """Train one epoch more."""

    @abstractmethod
    def factors(self) -> Factors:
        """What has been learned so far; later steps don't change it."""

    def check_finite(
        self, recommender: "Recommender", remedy: str, *arrays: NDArray[np.float32] | NDArray[np.float64]
    ) -> None:
        """Refuse parameters that are not finite numbers; a sum is enough to see one.

        Raises:
            TrainingDiverged: with the epoch and the `remedy`.
        """
        if not all(math.isfinite(float(np.sum(array, dtype=np.float64))) for array in arrays):
            raise TrainingDiverged(
                f"{recommender.algorithm} diverged in epoch {self.epoch} ({recommender!r}): try {remedy}."
            )


class Recommender(BaseModel, ABC):
    """A factorization algorithm and its hyper-parameters.

    `begin` starts a fit that the caller steps through, one epoch at a time; `fit` is the
    plain loop over it.

    Attributes:
        algorithm: the short name, as in a recipe.
        space: what tuning searches for the objective rating; hyper-parameters that are not in it keep their value.
        ranking_space: the same for the objective ranking; empty where it is no other.
        ranking_defaults: hyper-parameters that differ from the class's own where lists are what counts.
        max_epochs: epochs of a trial at most, where tuning's usual number is not enough.
        patience: epochs without a better figure that end a trial, likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: ClassVar[str]
    space: ClassVar[dict[str, Range]] = {}
    ranking_space: ClassVar[dict[str, Range]] = {}
    ranking_defaults: ClassVar[dict[str, Any]] = {}
    max_epochs: ClassVar[int | None] = None
    patience: ClassVar[int | None] = None

    n_epochs: int = Field(20, ge=0)
    seed: int = Field(0, ge=0)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its algorithm's name."""
        super().__pydantic_init_subclass__(**options)
        if "algorithm" in cls.__dict__:
            MODELS[cls.algorithm] = cls

    @abstractmethod
    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Initialize a fit on `ratings`, which stay as they are.

        With `start`, earlier factors of the same recipe, users and items that those know continue
        from their rows; new ones start as usual. ALS takes up exactly where it stopped.

        Raises:
            ValueError: `start` has another number of factors or another link.
        """

    def fit(
        self,
        ratings: Ratings,
        on_epoch: Callable[[Training], None] | None = None,
        *,
        start: Factors | None = None,
        validation: Ratings | None = None,
        patience: int = 3,
    ) -> Factors:
        """Train `n_epochs` epochs on `ratings`.

        Args:
            ratings: what is learned from; they stay as they are.
            on_epoch: called after each epoch.
            start: earlier factors to continue from, as in `begin`.
            validation: ratings held out, over the same codes. With them training stops once
                `patience` epochs have brought no smaller RMSE on them, and the best epoch's
                factors are returned.
            patience: see `validation`.

        Raises:
            TrainingDiverged: factors left the range of numbers.
        """
        training = self.begin(ratings, start)
        best, best_error, best_epoch = None, math.inf, 0
        for _ in range(self.n_epochs):
            training.step()
            if on_epoch is not None:
                on_epoch(training)
            if validation is None:
                continue
            factors = training.factors()
            error = _rmse(factors, validation)
            if error < best_error:
                best, best_error, best_epoch = factors, error, training.epoch
            elif training.epoch - best_epoch >= patience:
                break
        return training.factors() if best is None else best

    def partial_fit(self, factors: Factors, ratings: Ratings, n_epochs: int | None = None) -> Factors:
        """Train `factors` on for `n_epochs` (as many as a fit has, if not given) on `ratings`.

        `ratings` may hold more than the factors were trained on, users and items they never saw
        included. On the same ratings ALS continues exactly where it stopped: five epochs and
        five more give the bits that ten give.
        """
        epochs = self.n_epochs if n_epochs is None else n_epochs
        return self.model_copy(update={"n_epochs": epochs}).fit(ratings, start=factors)


def _rmse(factors: Factors, ratings: Ratings) -> float:
    errors = factors.predict(ratings.users, ratings.items).astype(np.float64) - ratings.values
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else math.inf
