"""The run of a scored candidate: its metrics, figures, data and model, as they are compared in MLflow."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd

from mfcore.data.ratings import Ratings
from mfcore.evaluation.scoring import Score, Scored, comparison
from mfcore.models.model import Model
from mfcore.tracking import figures
from mfcore.tracking.canvas import save
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import finalist_note
from mfcore.tracking.runs import Experiment
from mfcore.tracking.trial_figures import figures_of
from mfcore.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["log_comparison", "log_scored", "log_trial_figures"]

_K = 10
"""Length of the lists whose popularity is drawn."""


def log_scored(
    experiment: Experiment,
    scored: Scored,
    train: Ratings,
    test: Ratings,
    items: pd.DataFrame | None,
    tags: Mapping[str, str],
    parent: str,
    source: Path,
) -> Score:
    """Log a candidate as a run of its own; returns its score with the ids of the run and the model.

    A baseline's run holds its metrics alone; any other one has curves, figures and the model as well.

    Args:
        experiment: where to.
        scored: the candidate and what was measured.
        train: what it was trained on.
        test: what it was scored on.
        items: titles and the like, for the model.
        tags: of the run and the model; `data` and `split` are fingerprints.
        parent: the run it belongs to.
        source: folder of the ratings.
    """
    score = scored.score
    candidate = score.candidate
    params = candidate.recipe.settings
    own = {**tags, "algorithm": candidate.recipe.algorithm, "role": candidate.role}
    metrics = {**score.headline, "training_seconds": score.seconds}
    if candidate.validation_rmse is not None:
        metrics["validation_rmse"] = candidate.validation_rmse
    with experiment.run(f"{candidate.role}-{candidate.name}", parent=parent, tags=own, params=params) as run_id:
        is_baseline = candidate.role == "baseline"
        model_uri = None
        if not is_baseline:
            model_uri = log_model(Model.of(scored.factors, train, items), run_id, candidate.name, own, params)
        # MLflow draws a chart for each metric, in the order of their names: among three dozen nobody finds
        # the one that matters. Slices, intervals and the rest belong in the table.
        experiment.log_metrics(run_id, metrics, model_uri=model_uri)
        experiment.log_table(run_id, score.frame(), "evaluation.json")
        split = tags.get("split", "")
        experiment.log_dataset(run_id, split, source, len(train), "training", "train and validation")
        experiment.log_dataset(run_id, split, source, len(test), "evaluation", "test")
        experiment.note(run_id, finalist_note(candidate, score, len(train), len(test)))
        if not is_baseline:
            experiment.log_curve(run_id, "train_rmse_by_epoch", scored.train_curve)
            experiment.log_curve(run_id, "validation_rmse_by_epoch", scored.validation_curve)
            pictures = {
                "learning_curve": figures.learning_curves(
                    scored.train_curve, scored.validation_curve, scored.curve.chosen
                ),
                "calibration": figures.calibration(scored.predictions, test.values, test.scale),
                "errors_by_rating": figures.errors_by_rating(scored.predictions, test.values, test.scale),
                "errors_by_activity": figures.errors_by_activity(scored.predictions, test, train),
                "popularity": figures.popularity(scored.factors, train, _K),
            }
            _log_figures(experiment, run_id, pictures)
    return score.model_copy(update={"run_id": run_id, "model_uri": model_uri})


def log_comparison(experiment: Experiment, scores: list[Score], run_id: str) -> pd.DataFrame:
    """Log the scores as a table and a figure of the run; returns the table."""
    table = comparison(scores)
    experiment.log_table(run_id, table, "comparison.json")
    _log_figures(experiment, run_id, {"comparison": figures.compared(table)})
    return table


def log_trial_figures(experiment: Experiment, tuned: Mapping[str, Tuned], run_id: str) -> None:
    """Draw the searches of all algorithms: history, importances, parallel coordinates, learning curves.

    Nothing is drawn where no trial is a child of this run: the run that has them has the figures.
    """
    if experiment.has_trials(run_id):
        _log_figures(experiment, run_id, figures_of({name: found.trials for name, found in tuned.items()}))


def _log_figures(experiment: Experiment, run_id: str, pictures: "Mapping[str, Figure]") -> None:
    with TemporaryDirectory(prefix="mfcore-") as folder:
        for name, figure in pictures.items():
            save(figure, Path(folder) / f"{name}.png")
        experiment.log_artifact(run_id, Path(folder), "figures")
