"""What every trainer promises: `Recommender` (hyper-parameters) and `Training` (a fit under way)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import TrainingDiverged
from mfcore.models.factors import Factors
from mfcore.models.model import Model

__all__ = ["LIST_RANGES", "MODELS", "Range", "Recommender", "Training"]

MODELS: "dict[str, type[Recommender]]" = {}
"""Algorithm name → class; a class enters when it is defined."""


@dataclass(frozen=True)
class Range:
    """Where tuning searches a hyper-parameter: from `low` to `high`, evenly in the logarithm if `log`.

    What the ends mean is said by `unit`, so that one range suits every scale: "rating", a place on
    it, 0 its lowest rating and 1 its highest; "width", a share of its width; else a plain number.

    >>> Range(-0.5, 0.25, unit="rating").on(Scale(1, 5))
    Range(low=-1.0, high=2.0, log=False, unit='number')
    """

    low: float
    high: float
    log: bool = False
    unit: Literal["number", "rating", "width"] = "number"

    def on(self, scale: Scale) -> "Range":
        """The range in the ratings' own unit."""
        return Range(self.value(self.low, scale), self.value(self.high, scale), self.log)

    def value(self, value: float, scale: Scale) -> float:
        """A value given in `unit`, in the ratings' own unit."""
        if self.unit == "number":
            return value
        return value * scale.width + (scale.minimum if self.unit == "rating" else 0.0)


LIST_RANGES = {
    "missing_weight": Range(0.05, 1, log=True),
    "missing_rating": Range(-0.75, 0.25, unit="rating"),
    "popularity_weight": Range(0, 0.15, unit="width"),
}
"""What of a model's lists depends on unrated pairs and on popularity, searched alike whatever trains it."""


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

    `begin` starts a fit that the caller steps through, one epoch at a time; `train` is the
    plain loop over it.

    Attributes:
        algorithm: the short name, as in a recipe.
        space: what tuning searches for the objective rating; hyper-parameters that are not in it keep their value.
        ranking_space: the same for the objective ranking; empty where the algorithm is not tuned for lists.
        ranking_defaults: hyper-parameters that differ from the class's own where lists are what counts; those that
            are searched in the unit of their range (`for_ranking` puts both on a scale).
        max_epochs: epochs that tuning should allow at least; None: as many as it allows any algorithm.
        patience: epochs without a better result that it should wait at least; None: as it does for any.
        elsewhere: whether other machines train it, so that trainings side by side would only wait for each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: ClassVar[str]
    space: ClassVar[dict[str, Range]] = {}
    ranking_space: ClassVar[dict[str, Range]] = {}
    ranking_defaults: ClassVar[dict[str, Any]] = {}
    max_epochs: ClassVar[int | None] = None
    patience: ClassVar[int | None] = None
    elsewhere: ClassVar[bool] = False

    n_epochs: int = Field(20, ge=0)
    seed: int = Field(0, ge=0)

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Make the class known by its algorithm's name."""
        super().__pydantic_init_subclass__(**options)
        if "algorithm" in cls.__dict__:
            MODELS[cls.algorithm] = cls

    @classmethod
    def require(cls) -> None:
        """Refuse to go on without what the algorithm needs beside mfcore; most need nothing.

        Raises:
            UsageError: it is not installed.
        """

    @classmethod
    def for_ranking(cls, scale: Scale) -> tuple[dict[str, Range], dict[str, Any]]:
        """`ranking_space` and `ranking_defaults`, in the unit of ratings on `scale`."""
        space = {name: span.on(scale) for name, span in cls.ranking_space.items()}
        defaults = {
            name: cls.ranking_space[name].value(value, scale) if name in space else value
            for name, value in cls.ranking_defaults.items()
        }
        return space, defaults

    def reseeded(self, seed: int) -> Self:
        """The same hyper-parameters with another seed."""
        return self.model_copy(update={"seed": seed})

    @abstractmethod
    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Initialize a fit on `ratings`, which stay as they are.

        With `start`, earlier factors of the same recipe, users and items that those know continue
        from their rows; new ones start as usual. ALS takes up exactly where it stopped.

        Raises:
            ValueError: `start` has another number of factors or another link.
        """

    def train(
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

    def fit(self, data: Ratings | pd.DataFrame) -> Model:
        """Train on `data`, and give a model over the ids in it.

        Args:
            data: ratings, or a data frame as for `mfcore.load`.

        Raises:
            DataInvalid: the data frame holds no ratings, or ones that fail the checks.
            TrainingDiverged: factors left the range of numbers.
        """
        # Sources and checks, which a model that is only served does without.
        from mfcore.data.loading import load

        ratings = data if isinstance(data, Ratings) else load(data)
        return Model.of(self.train(ratings), ratings, None)

    def partial_fit(self, factors: Factors, ratings: Ratings, n_epochs: int | None = None) -> Factors:
        """Train `factors` on for `n_epochs` (as many as a fit has, if not given) on `ratings`.

        `ratings` may hold more than the factors were trained on, users and items they never saw
        included. On the same ratings ALS continues exactly where it stopped: five epochs and
        five more give the bits that ten give. With 0 epochs the factors are returned as they are.
        """
        epochs = self.n_epochs if n_epochs is None else n_epochs
        if epochs == 0:
            return factors
        return self.model_copy(update={"n_epochs": epochs}).train(ratings, start=factors)


def _rmse(factors: Factors, ratings: Ratings) -> float:
    errors = factors.predict(ratings.users, ratings.items).astype(np.float64) - ratings.values
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else math.inf
