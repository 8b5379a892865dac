"""The runs of scored candidates: metrics, figures, data and models, as they are compared in MLflow."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mfcore.data.ratings import Ratings
from mfcore.evaluation.scoring import Score, ScoredModel, comparison
from mfcore.metrics.objective import Objective
from mfcore.models.model import Model
from mfcore.storage.files import scratch_folder
from mfcore.tracking import figures
from mfcore.tracking.canvas import save
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import finalist_note
from mfcore.tracking.runs import Experiment
from mfcore.tracking.trial_figures import figures_of
from mfcore.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FinalistLog", "log_comparison", "log_trial_figures"]

_K = 10
"""Length of the lists whose popularity is drawn."""


class FinalistLog:
    """Scored candidates, each logged as a run of its own by a thread, while the caller trains the next one.

    A baseline's run holds its metrics alone; any other one has the model as well, and figures of what it
    competes for: of predicted ratings, of lists, or of both.

    The thread draws and writes. What is computed on Numba's or BLAS's threads is computed by the caller,
    since two callers of either could get in each other's way.
    """

    def __init__(
        self,
        experiment: Experiment,
        train: Ratings,
        test: Ratings,
        items: pd.DataFrame | None,
        tags: Mapping[str, str],
        parent: str,
        source: Path,
    ) -> None:
        """Prepare.

        Args:
            experiment: where to.
            train: what candidates were trained on.
            test: what they were scored on.
            items: titles and the like, for the models.
            tags: of the runs and the models; `data` and `split` are fingerprints.
            parent: the run they belong to.
            source: folder of the ratings.
        """
        self._experiment, self._train, self._test, self._items = experiment, train, test, items
        self._tags, self._parent, self._source = tags, parent, source
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="finalists")
        self._sent: list[Future[Score]] = []

    def __enter__(self) -> "FinalistLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown()

    def add(self, scored: ScoredModel) -> None:
        """Have a candidate logged as soon as the one before it is, which is waited for: one at most is held.

        Raises:
            MfcoreError: the one before it could not be logged.
        """
        made = None
        if scored.score.candidate.role != "baseline":
            model = Model.of(scored.factors, self._train, self._items)
            made = model, figures.tastes(scored.factors, self._train, _K)
        if self._sent:
            self._sent[-1].result()
        self._sent.append(self._thread.submit(self._log, scored, made))

    def scores(self) -> list[Score]:
        """The scores with the ids of their runs and models, once all are logged.

        Raises:
            MfcoreError: one could not be logged.
        """
        return [sent.result() for sent in self._sent]

    def _log(self, scored: ScoredModel, made: tuple[Model, figures.Tastes] | None) -> Score:
        experiment, score = self._experiment, scored.score
        candidate, params = score.candidate, score.candidate.recipe.settings
        own = {**self._tags, "algorithm": candidate.recipe.algorithm, "role": candidate.role}
        own["objective"] = " and ".join(candidate.objectives)
        metrics = {**score.headline, "training_seconds": score.seconds, **candidate.validation}
        n_train, n_test = len(self._train), len(self._test)
        name = f"{candidate.role}-{candidate.name}"
        with experiment.run(name, parent=self._parent, tags=own, params=params) as run_id:
            model_uri = None
            if made is not None:
                model_uri = log_model(made[0], run_id, candidate.name, own, params)
            # MLflow draws a chart for each metric, in the order of their names: among three dozen nobody finds
            # the one that matters. Slices, intervals and the rest belong in the table.
            experiment.log_metrics(run_id, metrics, model_uri=model_uri)
            experiment.log_table(run_id, score.frame(), "evaluation.json")
            split = self._tags.get("split", "")
            experiment.log_dataset(run_id, split, self._source, n_train, "training", "train and validation")
            experiment.log_dataset(run_id, split, self._source, n_test, "evaluation", "test")
            experiment.note(run_id, finalist_note(candidate, score, n_train, n_test))
            if scored.train_curve:
                experiment.log_curve(run_id, "train_rmse_by_epoch", scored.train_curve)
                experiment.log_curve(run_id, "validation_rmse_by_epoch", scored.validation_curve)
            if made is not None:
                _log_figures(experiment, run_id, self._pictures(scored, made[1]))
        return score.model_copy(update={"run_id": run_id, "model_uri": model_uri})

    def _pictures(self, scored: ScoredModel, tastes: figures.Tastes) -> "dict[str, Figure]":
        train, test, predictions = self._train, self._test, scored.predictions
        pictures = {"popularity": figures.popularity(tastes, _K)}
        if Objective.RATING in scored.score.candidate.objectives:
            pictures |= {
                "calibration": figures.calibration(predictions, test.values, test.scale),
                "errors_by_rating": figures.errors_by_rating(predictions, test.values, test.scale),
                "errors_by_activity": figures.errors_by_activity(predictions, test, train),
            }
        if scored.train_curve:
            pictures["learning_curve"] = figures.learning_curves(
                scored.train_curve, scored.validation_curve, scored.curve.chosen
            )
        return pictures


def log_comparison(experiment: Experiment, scores: list[Score], run_id: str) -> pd.DataFrame:
    """Log the scores as a table and a figure of the run, both objectives side by side; returns the table."""
    table = comparison(scores)
    experiment.log_table(run_id, table, "comparison.json")
    ndcg = f"test_{scores[0].measure('ndcg').metric}"
    _log_figures(experiment, run_id, {"comparison": figures.compared(table, {"rating": "test_rmse", "ranking": ndcg})})
    return table


def log_trial_figures(experiment: Experiment, tuned: Mapping[str, Tuned], run_id: str) -> None:
    """Draw all searches, by objective: history, importances, parallel coordinates, learning curves.

    Nothing is drawn where no trial is a child of this run: the run that has them has the figures.
    """
    if experiment.has_trials(run_id):
        _log_figures(experiment, run_id, figures_of([study.trials for study in tuned.values()]))


def _log_figures(experiment: Experiment, run_id: str, pictures: "Mapping[str, Figure]") -> None:
    with scratch_folder() as folder:
        for name, figure in pictures.items():
            save(figure, folder / f"{name}.png")
        experiment.log_artifact(run_id, folder, "figures")
