"""What a search leaves behind: `Trial`, one set of hyper-parameters tried, and `Tuned`, what a study found."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.models import Recipe

__all__ = ["Params", "Trial", "Tuned", "best_of"]

Params = dict[str, float | int | bool | str]


class Trial(BaseModel):
    """One finished trial.

    Attributes:
        number: what trial of its study it is, from 0: 0 the defaults, then the champion's recipe if there is one.
        params: all hyper-parameters it was trained with, searched or not.
        curve: validation RMSE after each epoch; of folds, their mean.
        validation_rmse: the least of the curve.
        spread: standard deviation of the folds' RMSE at that epoch, where there are folds.
        outcome: complete, pruned (given up as poor), diverged, or lost (three workers died in it).
        rungs: what Hyperband noted of it, for the trials after it.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: str
    number: int
    params: Params
    curve: list[float]
    validation_rmse: float | None
    spread: float | None = None
    outcome: Literal["complete", "pruned", "diverged", "lost"]
    seconds: float
    rungs: dict[str, float] = {}

    @property
    def name(self) -> str:
        """A short name, as in `als-007`."""
        return f"{self.algorithm}-{self.number:03d}"


class Tuned(BaseModel):
    """What a study found.

    Attributes:
        recipe: the best trial's hyper-parameters, with the number of epochs at which it was best.
        validation_rmse: of that trial at that epoch, trained without the ratings it is measured on.
        spread: its standard deviation over folds, where there are folds.
        at_edge: searched hyper-parameters whose best value lies at the edge of its range.
        trials: all finished trials in order.
        interrupted: whether it was told to end before all its trials were run.
    """

    model_config = ConfigDict(frozen=True)

    recipe: Recipe
    validation_rmse: float
    spread: float | None = None
    at_edge: list[str]
    trials: list[Trial]
    interrupted: bool = False

    @property
    def best(self) -> Trial:
        """The trial the recipe comes from."""
        return best_of(self.trials)


def best_of(trials: list[Trial]) -> Trial:
    """The trial with the least validation RMSE, the first of equals."""
    return min(trials, key=lambda one: (math.inf if one.validation_rmse is None else one.validation_rmse, one.number))
