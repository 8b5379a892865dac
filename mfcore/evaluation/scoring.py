"""Recipes × split → scores: each candidate is trained on train and validation and scored once on test."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.evaluation.curves import LearningCurve, learning_curve
from mfcore.evaluation.gate import Decision
from mfcore.metrics import Comparison, Estimate, Evaluator, Measure, compare
from mfcore.metrics.slices import ALL
from mfcore.models import Factors, Recipe

__all__ = [
    "BASELINES",
    "HEADLINE",
    "Candidate",
    "Evaluation",
    "Score",
    "Scored",
    "comparison",
    "comparisons",
    "evaluate",
]

HEADLINE = ("rmse", "mae", "ndcg", "recall", "coverage", "popularity_lift")
"""Metrics that are shown where there is no room for all; those of lists at the first k."""


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
    Candidate(name=name, role="baseline", recipe=Recipe(algorithm=algorithm))
    for name, algorithm in {
        "global_mean": "global_mean",
        "bias": "bias",
        "most_popular": "most_popular",
        "item_knn": "knn",
    }.items()
)
"""What a recommender has to beat: the mean, biases only, the most rated items, and neighborhoods."""


class Score(BaseModel):
    """A candidate with its test metrics.

    Attributes:
        candidate: what was scored.
        measures: every metric on every slice, those of all test ratings first.
        seconds: of training.
        run_id: its run in MLflow.
        model_uri: its model in MLflow, where one was logged.
    """

    model_config = ConfigDict(frozen=True)

    candidate: Candidate
    measures: list[Measure]
    seconds: float
    run_id: str | None = None
    model_uri: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What could be computed on all test ratings, under names such as `test_rmse` and `test_ndcg_at_10`."""
        return {f"test_{one.metric}": one.value for one in self.measures if one.slice == ALL and one.value is not None}

    @property
    def headline(self) -> dict[str, float]:
        """Those of `metrics` that are in `HEADLINE`."""
        found = (self.measure(name) for name in HEADLINE)
        return {f"test_{one.metric}": one.value for one in found if one.value is not None}

    def measure(self, metric: str, part: str = ALL) -> Measure:
        """A measure by its metric, `ndcg` being `ndcg_at_` the first k, and slice.

        Raises:
            KeyError: there is none.
        """
        for one in self.measures:
            if one.slice == part and (one.metric == metric or one.metric.startswith(f"{metric}_at_")):
                return one
        raise KeyError(f"{metric} of {part}")

    def frame(self) -> pd.DataFrame:
        """A row a measure: metric, slice, value, low, high, n, reason."""
        columns = {"value": float, "low": float, "high": float}
        return pd.DataFrame([one.model_dump() for one in self.measures]).astype(columns)


class Evaluation(BaseModel):
    """What an evaluation found, and which recipe the next champion is made by.

    Attributes:
        scores: finalists, then the champion's recipe where it is none of theirs, then baselines.
        comparisons: every two of them, paired, in every metric of all test ratings.
        slices: what the slices are: name → meaning.
        challenger: name of the finalist with the least validation RMSE; test ratings don't choose it.
        chosen: name of the candidate that the gate let through.
        decision: the gate's.
    """

    model_config = ConfigDict(frozen=True)

    scores: list[Score]
    comparisons: list[Comparison]
    slices: dict[str, str]
    challenger: str
    chosen: str
    decision: Decision

    def score_of(self, name: str) -> Score:
        """The score of the candidate `name`."""
        return next(score for score in self.scores if score.candidate.name == name)

    def measures(self) -> pd.DataFrame:
        """A row a measure: model, metric, slice, value, low, high, n, reason."""
        frames = {score.candidate.name: score.frame() for score in self.scores}
        return pd.concat(frames, names=["model", None]).reset_index("model").reset_index(drop=True)

    def compare(self, model: str, other: str, metric: str) -> Comparison | None:
        """Two models in one metric, the difference being `model`'s less `other`'s; None where one has no figure."""
        for one in self.comparisons:
            if one.metric == metric and {one.model, one.other} == {model, other}:
                return one if one.model == model else one.turned()
        return None


@dataclass(frozen=True, eq=False)
class Scored:
    """A score with what it was computed from.

    Attributes:
        score: the metrics.
        factors: trained on train and validation.
        predictions: float32, (n_test,); predicted ratings of the test pairs.
        estimates: of all test ratings, by metric, for comparisons.
        curve: both errors by epoch; empty for baselines.
    """

    score: Score
    factors: Factors
    predictions: NDArray[np.float32]
    estimates: dict[str, Estimate]
    curve: LearningCurve

    @property
    def train_curve(self) -> list[float]:
        """RMSE on training ratings after each epoch."""
        return self.curve.train

    @property
    def validation_curve(self) -> list[float]:
        """RMSE on validation ratings after each epoch of the same fit."""
        return self.curve.validation


def evaluate(candidates: Iterable[Candidate], evaluator: Evaluator) -> Iterator[Scored]:
    """Train each candidate's recipe and score it on test, one at a time.

    A recipe is trained on train and validation ratings; on those again without the users that
    play cold-start users; and, if it is no baseline, on train alone, for its learning curve.

    Raises:
        TrainingDiverged: a recipe leaves the range of numbers.

    >>> from mfcore.config import SplitConfig
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> from mfcore.data.splitting import split
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(60, 40, 1200).frame, Scale(1, 5, 1))
    >>> (bias,) = evaluate(BASELINES[1:2], Evaluator(ratings, split(ratings, SplitConfig())))
    >>> measure = bias.score.measure("rmse")
    >>> measure.low < measure.value < measure.high, measure.n
    (True, 120)
    """
    for candidate in candidates:
        recommender = candidate.recipe.build()
        started = time.perf_counter()
        factors = recommender.fit(evaluator.known)
        seconds = time.perf_counter() - started
        is_baseline = candidate.role == "baseline"
        curve = (
            LearningCurve() if is_baseline else learning_curve(candidate.recipe, evaluator.train, evaluator.validation)
        )
        measured = evaluator.measure(factors, recommender.fit(evaluator.cold_start.others))
        score = Score(candidate=candidate, measures=measured.measures, seconds=seconds)
        yield Scored(score, factors, measured.predictions, measured.estimates, curve)


def comparisons(estimates: Mapping[str, Mapping[str, Estimate]]) -> list[Comparison]:
    """Every two models, paired, in every metric that both have a figure of.

    Args:
        estimates: model → metric → estimate.
    """
    found = [
        compare(one, estimates[one][metric], another, estimates[another][metric], metric)
        for one, another in combinations(estimates, 2)
        for metric in estimates[one]
    ]
    return [comparison for comparison in found if comparison is not None]


def comparison(scores: Iterable[Score]) -> pd.DataFrame:
    """The scores as one table, finalists first, a row each: headline metrics and the interval of RMSE."""
    rows = []
    for score in scores:
        rmse = score.measure("rmse")
        rows.append(
            {
                "model": score.candidate.name,
                "role": score.candidate.role,
                "validation_rmse": score.candidate.validation_rmse,
                **{f"test_{one.metric}": one.value for one in map(score.measure, HEADLINE)},
                "test_rmse_low": rmse.low,
                "test_rmse_high": rmse.high,
                "seconds": round(score.seconds, 2),
            }
        )
    return pd.DataFrame(rows)
