"""Recipes × split → scores: each candidate is trained on train and validation and scored once on test."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.curves import LearningCurve
from mfcore.evaluation.fits import Fits, fits_here
from mfcore.evaluation.heads import FLOOR, HeadResult
from mfcore.metrics import Comparison, Estimate, Evaluator, Measure, compare
from mfcore.metrics.objective import Objective
from mfcore.metrics.slices import ALL
from mfcore.models import Factors, Recipe

__all__ = [
    "HEADLINE",
    "Evaluation",
    "Score",
    "ScoredModel",
    "comparison",
    "comparisons",
    "evaluate",
]

HEADLINE = ("rmse", "mae", "ndcg", "recall", "coverage", "popularity_lift")
"""Metrics that are shown where there is no room for all; those of lists at the first k."""


_ERRORS = ("test_rmse", "test_mae")


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
        return {
            f"test_{measure.metric}": measure.value
            for measure in self.measures
            if measure.slice == ALL and measure.value is not None
        }

    @property
    def headline(self) -> dict[str, float]:
        """Those of `metrics` that are in `HEADLINE`."""
        measures = (self.measure(name) for name in HEADLINE)
        return {f"test_{measure.metric}": measure.value for measure in measures if measure.value is not None}

    def measure(self, metric: str, part: str = ALL) -> Measure:
        """A measure by its metric, `ndcg` being `ndcg_at_` the first k, and slice.

        Raises:
            KeyError: there is none.
        """
        for measure in self.measures:
            if measure.slice == part and (measure.metric == metric or measure.metric.startswith(f"{metric}_at_")):
                return measure
        raise KeyError(f"{metric} of {part}")

    def frame(self) -> pd.DataFrame:
        """A row a measure: metric, slice, value, low, high, n, reason."""
        columns = {"value": float, "low": float, "high": float}
        return pd.DataFrame([measure.model_dump() for measure in self.measures]).astype(columns)


class Evaluation(BaseModel):
    """What an evaluation found, and which recipes the heads of the next champion are made by.

    Attributes:
        scores: finalists and blends, then the champion's recipes where they are none of theirs, then baselines.
        comparisons: every two of them, paired, in every metric of all test ratings.
        slices: what the slices are: name → meaning.
        heads: what became of each objective that was tuned for.
        left_out: objective → why it has no head.
    """

    model_config = ConfigDict(frozen=True)

    scores: list[Score]
    comparisons: list[Comparison]
    slices: dict[str, str]
    heads: dict[Objective, HeadResult]
    left_out: dict[Objective, str] = {}

    def chosen(self, objective: Objective) -> Score:
        """The score of the candidate that an objective's head is made by."""
        return self.score_of(self.heads[objective].chosen)

    @property
    def recipes(self) -> dict[Objective, Recipe]:
        """What the heads of the next champion are made by; ratings are predicted by biases where nothing else does."""
        recipes = {objective: self.chosen(objective).candidate.recipe for objective in self.heads}
        return {Objective.RATING: FLOOR[Objective.RATING][0], **recipes}

    @property
    def headline(self) -> dict[str, float]:
        """Test metrics of the two heads together: errors of the one that predicts, the rest of the one that ranks."""
        scores = {objective: self.chosen(objective).headline for objective in self.heads}
        errors = scores.get(Objective.RATING, {})
        lists = scores.get(Objective.RANKING, errors)
        return {
            **{name: value for name, value in errors.items() if name in _ERRORS},
            **{name: value for name, value in lists.items() if name not in _ERRORS},
        }

    def score_of(self, name: str) -> Score:
        """The score of the candidate `name`."""
        return next(score for score in self.scores if score.candidate.name == name)

    def measures(self) -> pd.DataFrame:
        """A row a measure: model, metric, slice, value, low, high, n, reason."""
        frames = {score.candidate.name: score.frame() for score in self.scores}
        return pd.concat(frames, names=["model", None]).reset_index("model").reset_index(drop=True)

    def compare(self, model: str, other: str, metric: str) -> Comparison | None:
        """Two models in one metric, the difference being `model`'s less `other`'s; None where one has no figure."""
        for comparison in self.comparisons:
            if comparison.metric == metric and {comparison.model, comparison.other} == {model, other}:
                return comparison if comparison.model == model else comparison.turned()
        return None


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """A score with what it was computed from.

    Attributes:
        score: the metrics.
        factors: trained on train and validation.
        predictions: float32, (n_test,); predicted ratings of the test pairs.
        estimates: of all test ratings, by metric, for comparisons.
        curve: both errors by epoch; empty but for finalists of the objective rating.
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


def evaluate(candidates: Sequence[Candidate], evaluator: Evaluator, fits: Fits | None = None) -> Iterator[ScoredModel]:
    """Train each candidate's recipe, as `Parts.fit` does, and score it on test, one at a time.

    Args:
        candidates: what is scored.
        evaluator: the test ratings, and what candidates are trained on.
        fits: what trains them; by default this process.

    Raises:
        TrainingDiverged: a recipe leaves the range of numbers.

    >>> from mfcore.config import SplitConfig
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> from mfcore.data.splitting import split
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(60, 40, 1200).frame, Scale(1, 5, 1))
    >>> bias = Candidate(name="bias", role="baseline", objectives=["rating"], recipe={"algorithm": "bias"})
    >>> (bias,) = evaluate([bias], Evaluator(ratings, split(ratings, SplitConfig())))
    >>> measure = bias.score.measure("rmse")
    >>> measure.low < measure.value < measure.high, measure.n
    (True, 120)
    """
    trained = (fits or fits_here(evaluator))(candidates)
    for candidate, fit in zip(candidates, trained, strict=True):
        measured = evaluator.measure(fit.factors, fit.without)
        score = Score(candidate=candidate, measures=measured.measures, seconds=fit.seconds)
        yield ScoredModel(score, fit.factors, measured.predictions, measured.estimates, fit.curve)


def comparisons(estimates: Mapping[str, Mapping[str, Estimate]]) -> list[Comparison]:
    """Every two models, paired, in every metric that both have a figure of.

    Args:
        estimates: model → metric → estimate.
    """
    rows = [
        compare(first, estimates[first][metric], another, estimates[another][metric], metric)
        for first, another in combinations(estimates, 2)
        for metric in estimates[first]
    ]
    return [comparison for comparison in rows if comparison is not None]


def comparison(scores: Iterable[Score]) -> pd.DataFrame:
    """The scores as one table, a row each: what it competes for, headline metrics, intervals of RMSE and NDCG."""
    scores = list(scores)
    validated = list(dict.fromkeys(name for score in scores for name in score.candidate.validation))
    rows = []
    for score in scores:
        ends = {
            f"test_{measure.metric}_{end}": value
            for measure in (score.measure("rmse"), score.measure("ndcg"))
            for end, value in (("low", measure.low), ("high", measure.high))
        }
        rows.append(
            {
                "model": score.candidate.name,
                "role": score.candidate.role,
                "for": " and ".join(score.candidate.objectives),
                **{name: score.candidate.validation.get(name) for name in validated},
                **{f"test_{measure.metric}": measure.value for measure in map(score.measure, HEADLINE)},
                **ends,
                "seconds": round(score.seconds, 2),
            }
        )
    return pd.DataFrame(rows)
