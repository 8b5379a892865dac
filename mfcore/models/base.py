"""What every trainer promises: `Recommender` (hyper-parameters) and `Training` (a fit under way)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.models.factors import Factors

__all__ = ["Range", "Recommender", "Training"]


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
    """A factorisation algorithm and its hyper-parameters.

    `begin` starts a fit that the caller steps through, one epoch at a time; `fit` is the
    plain loop over it.

    Attributes:
        algorithm: the short name, as in a recipe.
        space: what tuning searches; hyper-parameters that are not in it keep their value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: ClassVar[str]
    space: ClassVar[dict[str, Range]] = {}

    n_epochs: int = Field(20, ge=0)
    seed: int = Field(0, ge=0)

    @abstractmethod
    def begin(self, ratings: Ratings) -> Training:
        """Initialise a fit on `ratings`, which stay as they are."""

    def fit(self, ratings: Ratings, on_epoch: Callable[[Training], None] | None = None) -> Factors:
        """Train `n_epochs` epochs on `ratings`; `on_epoch` is called after each.

        Raises:
            TrainingDiverged: factors left the range of numbers.
        """
        training = self.begin(ratings)
        for _ in range(self.n_epochs):
            training.step()
            if on_epoch is not None:
                on_epoch(training)
        return training.factors()
