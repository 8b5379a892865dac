"""The runs of a data set's experiment: pipeline, trials and finalists, under the same names."""

import getpass
import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException

from mfcore import __version__
from mfcore.errors import MfcoreError, UsageError, first_line
from mfcore.settings import Settings, database_of, is_server
from mfcore.tracking.database import alone
from mfcore.tracking.names import EXPERIMENTS, NOTE, PARENT, REMOVED_BELOW, SOURCE, USER, VIEW, runs_view
from mfcore.tracking.notes import experiment_note
from mfcore.tracking.run_log import FinishedRun, RunLog
from mfcore.tracking.store import prepare_store
from mfcore.tuning import Trial

__all__ = ["Experiment", "model_id_of", "now_ms"]

logger = logging.getLogger(__name__)

# Opens the experiment on the pages for training models, not on those for language models.
_KIND, _MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"


class Experiment:
    """The experiment `mfcore/<dataset>` of the tracking store, made when it is not there.

    Everything goes through explicit run ids: the active run of MLflow's fluent interface
    belongs to a thread, and stages run in any.
    """

    def __init__(self, settings: Settings, dataset: str) -> None:
        """Connect to the store.

        Raises:
            SourceUnavailable: it does not answer.
            UsageError: it can't be written to, or takes no experiment of this name.
        """
        self.dataset = dataset
        self.name = f"{EXPERIMENTS}{dataset}"
        self._client = prepare_store(settings.tracking_uri)
        self._log = RunLog(self._client)
        try:
            with alone(settings.tracking_uri):
                experiment = self._client.get_experiment_by_name(self.name)
                if experiment is None:
                    location = _artifact_location(settings.tracking_uri, self.name)
                    made = self._client.create_experiment(self.name, location, tags={_KIND: _MODEL_TRAINING})
                    experiment = self._client.get_experiment(made)
                self.id: str = experiment.experiment_id
                for tag, value in ((NOTE, experiment_note(dataset, self.id)), (VIEW, runs_view())):
                    if tag not in experiment.tags:
                        self._client.set_experiment_tag(self.id, tag, value)
        except MlflowException as error:
            raise UsageError(f"MLflow refuses the experiment {self.name}: {first_line(error)}.") from error

    @property
    def identity(self) -> str:
        """What tells this experiment from one of the same name in another, or a new, store."""
        created = self._client.get_experiment(self.id).creation_time
        return f"{self.id}-{created}"

    @contextmanager
    def run(
        self, name: str, *, parent: str | None = None, tags: Mapping[str, str] | None = None, params: Any = None
    ) -> Iterator[str]:
        """A run that ends as FINISHED, or as FAILED or KILLED when the block does; yields its id.

        Trials that were logged meanwhile are in the store by then, whatever ended the block.
        """
        run_id = self.start(name, parent=parent, tags=tags, params=params)
        status = RunStatus.FAILED
        try:
            yield run_id
            self.flush()
            status = RunStatus.FINISHED
        except KeyboardInterrupt:
            status = RunStatus.KILLED
            raise
        finally:
            if status != RunStatus.FINISHED:
                try:
                    self.flush()
                except MfcoreError as error:  # of the two, what ended the block is raised
                    logger.warning("trials are not logged: %s", error)
            self._client.set_terminated(run_id, RunStatus.to_string(status))

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        start_time: int | None = None,
    ) -> str:
        """Start a run and return its id."""
        run = self._client.create_run(self.id, run_name=name, tags=self._tags(tags, parent), start_time=start_time)
        run_id: str = run.info.run_id
        if params:
            self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return run_id

    def _tags(self, tags: Mapping[str, str] | None, parent: str | None) -> dict[str, str]:
        """A run's own tags and those that every run has."""
        every = {
            "code_version": __version__,
            "process": _process(),
            "dataset": self.dataset,
            SOURCE: "mfcore",
            USER: _user(),
            **(tags or {}),
        }
        return every if parent is None else {**every, PARENT: parent}

    def end_abandoned(self) -> None:
        """Mark runs whose process on this machine is gone as KILLED; delete trials that it logged in part."""
        for run in self._client.search_runs([self.id], "attributes.status = 'RUNNING'"):
            host, _, pid = run.data.tags.get("process", "").partition(":")
            if host == socket.gethostname() and pid.isdigit() and not _alive(int(pid)):
                if "trial" in run.data.tags:
                    self._client.delete_run(run.info.run_id)
                else:
                    self._client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))

    def flush(self) -> None:
        """Wait until every trial is in the store.

        Raises:
            MfcoreError: one could not be logged.
        """
        self._log.flush()

    def log_table(self, run_id: str, table: pd.DataFrame, file: str) -> None:
        """Log a table as a file of a run that MLflow shows and compares; `file` ends in .json."""
        self._client.log_table(run_id, table, file)

    def log_dict(self, run_id: str, tree: Mapping[str, Any], file: str) -> None:
        """Log what JSON or YAML can hold as a file of a run."""
        self._client.log_dict(run_id, dict(tree), file)

    def log_text(self, run_id: str, text: str, file: str) -> None:
        """Log a text as a file of a run."""
        self._client.log_text(run_id, text, file)

    def log_artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Log a file, or the files in a folder, under `folder` among a run's artifacts."""
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), folder)
        else:
            self._client.log_artifact(run_id, str(path), folder)

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], model_uri: str | None = None) -> None:
        """Log single values of a run and, where it made one, of its model."""
        now, model_id = now_ms(), None if model_uri is None else model_id_of(model_uri)
        self._client.log_batch(run_id, [Metric(k, v, now, 0, model_id=model_id) for k, v in metrics.items()])

    def log_curve(self, run_id: str, name: str, values: Iterable[float]) -> None:
        """Log a value for each epoch, from epoch 1."""
        now = now_ms()
        points = [Metric(name, value, now, epoch) for epoch, value in enumerate(values, start=1)]
        self._client.log_batch(run_id, points)

    def log_by_version(self, run_id: str, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Log values of versions, so that MLflow draws each metric over the versions' numbers."""
        now = now_ms()
        points = [Metric(k, v, now, version) for version, some in metrics.items() for k, v in some.items()]
        self._client.log_batch(run_id, points)

    def log_dataset(
        self, run_id: str, digest: str, source: Path, n_ratings: int, context: str, part: str | None = None
    ) -> None:
        """Log ratings, or a part of them, as an input of a run, by where they lie and their fingerprint."""
        entity = Dataset(
            name=self.dataset if part is None else f"{self.dataset} {part}",
            digest=digest,
            source_type="local",
            source=json.dumps({"uri": source.as_uri()}),
            profile=json.dumps({"num_rows": n_ratings}),
        )
        inputs = [DatasetInput(entity, [InputTag("mlflow.data.context", context)])]
        try:
            self._client.log_inputs(run_id, inputs)
        except MlflowException:
            # Two runs at once that log the same ratings insert the same row; now it is there.
            self._client.log_inputs(run_id, inputs)

    def logged_trials(self, study: str) -> set[int]:
        """Numbers of the trials of `study` that have a run, whole, or had one that was removed since."""
        self.flush()
        runs = self._client.search_runs(
            [self.id], f"tags.study = '{study}' and attributes.status = 'FINISHED'", max_results=50_000
        )
        removed = max((int(run.data.tags.get(REMOVED_BELOW, 0)) for run in runs), default=0)
        return {int(run.data.tags["trial"]) for run in runs} | set(range(removed))

    def has_trials(self, parent: str) -> bool:
        """Whether trials were logged as children of this run."""
        self.flush()
        wanted = f"tags.stage = 'tune' and tags.`{PARENT}` = '{parent}'"
        return len(self._client.search_runs([self.id], wanted, max_results=1)) > 0

    def log_trial(self, trial: Trial, study: str, parent: str, tags: Mapping[str, str]) -> None:
        """Log one finished trial as a run: its hyper-parameters, learning curve and outcome.

        It is sent while the search goes on; `flush`, and the end of the run it belongs to, wait for it.

        Raises:
            MfcoreError: an earlier one could not be logged.
        """
        now = now_ms()
        own = {"stage": "tune", "objective": trial.objective.value, "algorithm": trial.algorithm}
        own |= {"study": study, "outcome": trial.outcome}
        name = trial.metric_name
        metrics = [Metric("training_seconds", trial.seconds, now, 0)]
        if trial.value is not None:
            metrics.insert(0, Metric(name, trial.value, now, 0))
        if trial.spread is not None:
            metrics.append(Metric(f"{name}_spread", trial.spread, now, 0))
        metrics += [Metric(f"{name}_by_epoch", value, now, epoch) for epoch, value in enumerate(trial.curve, 1)]
        params = {
            "objective": trial.objective.value,
            "algorithm": trial.algorithm,
            "n_epochs": len(trial.curve),
            **trial.params,
        }
        self._log.add(
            FinishedRun(
                experiment_id=self.id,
                name=trial.name,
                tags=self._tags({**tags, **own, "trial": str(trial.number)}, parent),
                params={key: str(value) for key, value in params.items()},
                metrics=metrics,
                started=now - int(trial.seconds * 1000),
                ended=now,
            )
        )

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def note(self, run_id: str, text: str) -> None:
        """Set a run's description, in Markdown."""
        self.tag(run_id, {NOTE: text})

    def link_model(self, run_id: str, name: str, version: int) -> None:
        """Show a registered version as what a run made."""
        source = self._client.get_model_version(name, str(version)).source or ""
        self._client.log_outputs(run_id, [LoggedModelOutput(model_id_of(source), step=0)])


def model_id_of(model_uri: str) -> str:
    """The id of a logged model.

    >>> model_id_of("models:/m-0123")
    'm-0123'
    """
    return model_uri.rpartition("/")[2]


def now_ms() -> int:
    """Milliseconds since 1970, as MLflow counts time."""
    return int(time.time() * 1000)


def _artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Where an experiment's files go: beside a local database; a server decides for itself."""
    if is_server(tracking_uri):
        return None
    database = database_of(tracking_uri)
    base = database.parent if database is not None else Path("mlruns").absolute()
    return (base / "artifacts" / experiment).as_uri()


def _user() -> str:
    """Who runs this; some containers' users have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
