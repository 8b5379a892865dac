"""What the stages tune and evaluate with, for ratings in memory: `tune` and `evaluate`."""

from collections.abc import Mapping

import pandas as pd

from mfcore.config import EvaluationConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import Split
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.scoring import comparison
from mfcore.evaluation.scoring import evaluate as score
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe, Recommender
from mfcore.storage.files import scratch_folder
from mfcore.tuning import Tuned
from mfcore.tuning import tune as study

__all__ = ["evaluate", "tune"]


def tune(
    algorithm: str,
    ratings: Ratings,
    parts: Split,
    config: TuningConfig | None = None,
    *,
    objective: str = "rating",
) -> Tuned:
    """Search the hyper-parameters of one algorithm, on train and validation ratings only.

    Args:
        algorithm: its short name, such as "als".
        ratings: all of them.
        parts: which are train, validation and test.
        config: what is searched, how, and for how long.
        objective: "rating", by validation RMSE, or "ranking", by NDCG of lists.

    Returns:
        The best recipe with its figure, and every trial.

    Raises:
        UsageError: an unknown algorithm, or a search space that is not possible.
        TrainingDiverged: no trial came to an end.

    >>> import mfcore
    >>> ratings = mfcore.load("synthetic:users=60,items=40,ratings=1200")
    >>> settings = TuningConfig(n_trials=2, max_epochs=3, validation="single")
    >>> len(tune("als", ratings, mfcore.split(ratings), settings).trials)
    2
    """
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    with scratch_folder() as scratch:
        journal = scratch / "study.log"
        return study(algorithm, train, validation, config or TuningConfig(), journal, objective=Objective(objective))


def evaluate(
    models: Mapping[str, Recipe | Recommender],
    ratings: Ratings,
    parts: Split,
    config: EvaluationConfig | None = None,
) -> pd.DataFrame:
    """Train each model on train and validation ratings and score it once on test.

    Args:
        models: name of the row -> what is trained.
        ratings: all of them.
        parts: which are train, validation and test.
        config: lengths of lists, and from which rating an item is relevant.

    Returns:
        A row per model: test RMSE and MAE, NDCG and recall of lists, coverage, popularity lift, the 95 % intervals of
        RMSE and NDCG, and seconds of training.

    Raises:
        TrainingDiverged: a model left the range of numbers.

    >>> import mfcore
    >>> ratings = mfcore.load("synthetic:users=60,items=40,ratings=1200")
    >>> table = evaluate({"ALS": mfcore.ALS(n_factors=2)}, ratings, mfcore.split(ratings))
    >>> bool(table.loc[0, "test_rmse_low"] < table.loc[0, "test_rmse"] < table.loc[0, "test_rmse_high"])
    True
    """
    candidates = [
        Candidate(
            name=name,
            role="baseline",
            objectives=(Objective.RATING,),
            recipe=model if isinstance(model, Recipe) else Recipe.of(model),
        )
        for name, model in models.items()
    ]
    table = comparison(scored.score for scored in score(candidates, Evaluator(ratings, parts, None, config)))
    return table.drop(columns=["role", "for"])
