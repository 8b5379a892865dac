"""What a search leaves behind: `Trial`, one set of hyper-parameters tried, and `Tuned`, what a study found."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.metrics.objective import Objective
from mfcore.models import Recipe

__all__ = ["Params", "Trial", "Tuned", "best_of"]

Params = dict[str, float | int | bool | str]


class Trial(BaseModel):
    """One finished trial.

    Attributes:
        objective: of its study.
        metric: what it was scored by on validation ratings: `rmse`, `ndcg_at_10` and the like.
        number: what trial of its study it is, from 0: 0 the defaults, then the champion's recipe if there is one.
        params: all hyper-parameters it was trained with, searched or not.
        curve: the metric after each epoch; of folds, their mean.
        value: the best of the curve.
        spread: standard deviation of the folds' values at that epoch, where there are folds.
        outcome: complete, pruned (given up as poor), diverged, or lost (three workers died in it).
        rungs: what Hyperband noted of it, for the trials after it.
    """

    model_config = ConfigDict(frozen=True)

    objective: Objective
    metric: str
    algorithm: str
    number: int
    params: Params
    curve: list[float]
    value: float | None
    spread: float | None = None
    outcome: Literal["complete", "pruned", "diverged", "lost"]
    seconds: float
    rungs: dict[str, float] = {}

    @property
    def name(self) -> str:
        """A short name, as in `ranking-als-007`."""
        return f"{self.objective}-{self.algorithm}-{self.number:03d}"

    @property
    def metric_name(self) -> str:
        """What the value is called beside others: `validation_rmse`, `validation_ndcg_at_10`."""
        return f"validation_{self.metric}"


class Tuned(BaseModel):
    """What a study found.

    Attributes:
        objective: what was searched for.
        metric: as in `Trial`.
        recipe: the best trial's hyper-parameters, with the number of epochs at which it was best.
        value: of that trial at that epoch, trained without the ratings it is measured on.
        spread: its standard deviation over folds, where there are folds.
        at_edge: searched hyper-parameters whose best value lies at the edge of its range.
        trials: all finished trials in order.
        interrupted: whether it was told to end before all its trials were run.
    """

    model_config = ConfigDict(frozen=True)

    objective: Objective
    metric: str
    recipe: Recipe
    value: float
    spread: float | None = None
    at_edge: list[str]
    trials: list[Trial]
    interrupted: bool = False

    @property
    def best(self) -> Trial:
        """The trial the recipe comes from."""
        return best_of(self.trials)

    @property
    def name(self) -> str:
        """The study's name, as in `ranking-als`."""
        return f"{self.objective}-{self.recipe.algorithm}"

    @property
    def metric_name(self) -> str:
        """As in `Trial`."""
        return f"validation_{self.metric}"


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the best value, the first of equals."""
    return min(trials, key=lambda trial: (trial.objective.loss(trial.value), trial.number))
