"""The run of a scored candidate: its metrics, figures, data and model, as they are compared in MLflow."""

from collections.abc import Mapping

import pandas as pd

from mfcore.bundle import Bundle
from mfcore.data.ratings import Ratings
from mfcore.evaluation import Score, Scored, comparison
from mfcore.tracking import figures
from mfcore.tracking.models import log_bundle
from mfcore.tracking.runs import Experiment

__all__ = ["log_comparison", "log_scored"]


def log_scored(
    experiment: Experiment,
    scored: Scored,
    train: Ratings,
    test: Ratings,
    items: pd.DataFrame | None,
    tags: Mapping[str, str],
    parent: str,
) -> Score:
    """Log a candidate as a run of its own; returns its score with the ids of the run and the model.

    A baseline's run holds its metrics alone; any other one has curves, figures and the model as well.
    """
    candidate = scored.score.candidate
    params = candidate.recipe.settings
    own = {**tags, "algorithm": candidate.recipe.algorithm, "role": candidate.role}
    metrics = {**scored.score.metrics, "training_seconds": scored.score.seconds}
    if candidate.validation_rmse is not None:
        metrics["validation_rmse"] = candidate.validation_rmse
    with experiment.run(f"{candidate.role}-{candidate.name}", parent=parent, tags=own, params=params) as run_id:
        model_uri = None
        if candidate.role != "baseline":
            bundle = Bundle.of(scored.factors, train, items)
            model_uri = log_bundle(bundle, run_id, candidate.name, own, params)
            experiment.log_curve(run_id, "train_rmse_by_epoch", scored.train_curve)
            experiment.log_curve(run_id, "validation_rmse_by_epoch", scored.validation_curve)
            pictures = {
                "learning_curve": figures.learning_curves(
                    scored.train_curve, scored.validation_curve, scored.curve.chosen
                ),
                "calibration": figures.calibration(scored.predictions, test.values, test.scale),
                "errors_by_rating": figures.errors_by_rating(scored.predictions, test.values, test.scale),
            }
            for name, figure in pictures.items():
                experiment.client.log_figure(run_id, figure, f"figures/{name}.png")
        experiment.log_metrics(run_id, metrics, model_uri=model_uri)
    return scored.score.model_copy(update={"run_id": run_id, "model_uri": model_uri})


def log_comparison(experiment: Experiment, scores: list[Score], run_id: str) -> pd.DataFrame:
    """Log the scores as a table and a figure of the run; returns the table."""
    table = comparison(scores)
    experiment.client.log_table(run_id, table, "comparison.json")
    experiment.client.log_figure(run_id, figures.compared(table), "figures/comparison.png")
    return table
