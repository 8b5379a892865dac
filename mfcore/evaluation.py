"""Recipes × split → scores: each candidate is trained once and scored once on test."""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.config import EvaluationConfig
from mfcore.data.ratings import Ratings
from mfcore.gate import Decision
from mfcore.metrics.ranking import rank_metrics
from mfcore.metrics.rating import mae, rmse
from mfcore.models import Factors, Recipe, Training

__all__ = ["BASELINES", "Candidate", "Evaluation", "Score", "Scored", "comparison", "evaluate"]


class Candidate(BaseModel):
    """A recipe to be scored.

    Attributes:
        name: the row's name in tables.
        role: a finalist of tuning, the champion's recipe, or a baseline.
        validation_rmse: what tuning measured, where there was tuning.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    role: Literal["finalist", "champion", "baseline"]
    recipe: Recipe
    validation_rmse: float | None = None


BASELINES = tuple(
    Candidate(name=name, role="baseline", recipe=Recipe(algorithm=name, params={}))
    for name in ("global_mean", "bias", "most_popular")
)
"""What a recommender has to beat: the mean, biases only, and the most rated items."""


class Score(BaseModel):
    """A candidate with its test metrics: a row of the comparison.

    Attributes:
        candidate: what was scored.
        metrics: `test_rmse`, `test_mae`, `test_ndcg_at_10`, `test_recall_at_10` (or the k that was set).
        seconds: of training.
        run_id: its run in MLflow.
        model_uri: its model in MLflow, where one was logged.
    """

    model_config = ConfigDict(frozen=True)

    candidate: Candidate
    metrics: dict[str, float]
    seconds: float
    run_id: str | None = None
    model_uri: str | None = None


class Evaluation(BaseModel):
    """What an evaluation found, and which recipe the next champion is made by.

    Attributes:
        scores: finalists, then the champion's recipe where it is none of theirs, then baselines.
        challenger: name of the finalist with the least validation RMSE; test ratings don't choose it.
        chosen: name of the candidate that the gate let through.
        decision: the gate's.
    """

    model_config = ConfigDict(frozen=True)

    scores: list[Score]
    challenger: str
    chosen: str
    decision: Decision

    def score_of(self, name: str) -> Score:
        """The score of the candidate `name`."""
        return next(score for score in self.scores if score.candidate.name == name)


@dataclass(frozen=True, eq=False)
class Scored:
    """A score with what it was computed from.

    Attributes:
        score: the metrics.
        factors: trained on train and validation.
        predictions: float32, (n_test,); predicted ratings of the test pairs.
        train_curve: training RMSE after each epoch.
    """

    score: Score
    factors: Factors
    predictions: NDArray[np.float32]
    train_curve: list[float]


def evaluate(
    candidates: Iterable[Candidate], train: Ratings, test: Ratings, config: EvaluationConfig
) -> Iterator[Scored]:
    """Train each candidate's recipe on `train` and score it on `test`, one at a time.

    Rating metrics are over all test ratings. Ranking metrics are means over users with a
    relevant test rating; each user's list is drawn from all items but those in `train`.
    A metric that nothing can be said about (no user with a relevant rating) is left out.

    Raises:
        TrainingDiverged: a recipe leaves the range of numbers.
    """
    for candidate in candidates:
        curve: list[float] = []
        started = time.perf_counter()

        def follow(training: Training, curve: list[float] = curve) -> None:
            fitted = training.factors().predict(train.users, train.items)
            curve.append(rmse(fitted, train.values))

        factors = candidate.recipe.build().fit(train, on_epoch=follow)
        seconds = time.perf_counter() - started
        predictions = factors.predict(test.users, test.items)
        ranking = rank_metrics(factors, train, test, config.k, config.relevant_from)
        metrics = {
            "test_rmse": rmse(predictions, test.values),
            "test_mae": mae(predictions, test.values),
            f"test_ndcg_at_{config.k}": ranking.ndcg,
            f"test_recall_at_{config.k}": ranking.recall,
        }
        measured = {name: value for name, value in metrics.items() if math.isfinite(value)}
        score = Score(candidate=candidate, metrics=measured, seconds=seconds)
        yield Scored(score=score, factors=factors, predictions=predictions, train_curve=curve)


def comparison(scores: Iterable[Score]) -> pd.DataFrame:
    """The scores as one table, finalists first, a row each."""
    rows = [
        {
            "model": score.candidate.name,
            "role": score.candidate.role,
            "validation_rmse": score.candidate.validation_rmse,
            **score.metrics,
            "seconds": round(score.seconds, 2),
        }
        for score in scores
    ]
    return pd.DataFrame(rows)
