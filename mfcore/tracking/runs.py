"""The runs of a data set's experiment: pipeline, trials and finalists, under the same names."""

import getpass
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME, MLFLOW_USER

from mfcore import __version__
from mfcore.errors import UsageError
from mfcore.settings import Settings
from mfcore.storage.files import locked
from mfcore.tracking.finished import FinishedRun
from mfcore.tracking.notes import experiment_note
from mfcore.tuning import Trial

__all__ = ["Experiment", "model_id_of", "prepare_store"]

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
            UsageError: it can't be reached or written to.
        """
        self.dataset = dataset
        self.name = f"mfcore/{dataset}"
        self.client = prepare_store(settings.tracking_uri)
        try:
            with _one_at_a_time(settings.tracking_uri):
                found = self.client.get_experiment_by_name(self.name)
                if found is None:
                    location = _artifact_location(settings.tracking_uri, self.name)
                    made = self.client.create_experiment(self.name, location, tags={_KIND: _MODEL_TRAINING})
                    found = self.client.get_experiment(made)
                self.id, self._artifact_location = found.experiment_id, found.artifact_location
                if MLFLOW_RUN_NOTE not in found.tags:
                    self.client.set_experiment_tag(self.id, MLFLOW_RUN_NOTE, experiment_note(dataset, self.id))
        except (MlflowException, OSError, UsageError) as error:
            raise _unusable(settings.tracking_uri, error) from error

    @property
    def identity(self) -> str:
        """What tells this experiment from one of the same name in another, or a new, store."""
        created = self.client.get_experiment(self.id).creation_time
        return f"{self.id}-{created}"

    @contextmanager
    def run(
        self, name: str, *, parent: str | None = None, tags: Mapping[str, str] | None = None, params: Any = None
    ) -> Iterator[str]:
        """A run that ends as FINISHED, or as FAILED or KILLED when the block does; yields its id."""
        run_id = self.start(name, parent=parent, tags=tags, params=params)
        status = RunStatus.FAILED
        try:
            yield run_id
            status = RunStatus.FINISHED
        except KeyboardInterrupt:
            status = RunStatus.KILLED
            raise
        finally:
            self.client.set_terminated(run_id, RunStatus.to_string(status))

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
        run = self.client.create_run(self.id, run_name=name, tags=self._tags(tags, parent), start_time=start_time)
        run_id: str = run.info.run_id
        if params:
            self.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return run_id

    def _tags(self, tags: Mapping[str, str] | None, parent: str | None) -> dict[str, str]:
        """A run's own tags and those that every run has."""
        every = {
            "code_version": __version__,
            "process": _process(),
            "dataset": self.dataset,
            MLFLOW_SOURCE_NAME: "mfcore",
            MLFLOW_USER: _user(),
            **(tags or {}),
        }
        return every if parent is None else {**every, MLFLOW_PARENT_RUN_ID: parent}

    def end_abandoned(self) -> None:
        """Mark runs whose process on this machine is gone as KILLED."""
        for run in self.client.search_runs([self.id], "attributes.status = 'RUNNING'"):
            host, _, pid = run.data.tags.get("process", "").partition(":")
            if host == socket.gethostname() and pid.isdigit() and not _alive(int(pid)):
                self.client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float], model_uri: str | None = None) -> None:
        """Log single values of a run and, where it made one, of its model."""
        now, model_id = _now(), None if model_uri is None else model_id_of(model_uri)
        self.client.log_batch(run_id, metrics=[Metric(k, v, now, 0, model_id=model_id) for k, v in metrics.items()])

    def log_curve(self, run_id: str, name: str, values: Iterable[float]) -> None:
        """Log a value for each epoch, from epoch 1."""
        now = _now()
        points = [Metric(name, value, now, epoch) for epoch, value in enumerate(values, start=1)]
        self.client.log_batch(run_id, metrics=points)

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
        self.client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", context)])])

    def logged_trials(self, study: str) -> set[int]:
        """Numbers of the trials of `study` that have a run."""
        runs = self.client.search_runs(
            [self.id], f"tags.study = '{study}' and attributes.status = 'FINISHED'", max_results=50_000
        )
        return {int(run.data.tags["trial"]) for run in runs}

    def has_trials(self, parent: str) -> bool:
        """Whether trials were logged as children of this run."""
        wanted = f"tags.stage = 'tune' and tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"
        return len(self.client.search_runs([self.id], wanted, max_results=1)) > 0

    def log_trial(self, trial: Trial, study: str, parent: str, tags: Mapping[str, str]) -> None:
        """Log one finished trial as a run: its hyper-parameters, learning curve and outcome."""
        now = _now()
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
        FinishedRun(
            experiment_id=self.id,
            artifact_location=self._artifact_location,
            name=trial.name,
            tags=self._tags({**tags, **own, "trial": str(trial.number)}, parent),
            params={key: str(value) for key, value in params.items()},
            metrics=metrics,
            started=now - int(trial.seconds * 1000),
            ended=now,
        ).log(self.client)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def note(self, run_id: str, text: str) -> None:
        """Set a run's description, in Markdown."""
        self.tag(run_id, {MLFLOW_RUN_NOTE: text})

    def link_model(self, run_id: str, name: str, version: int) -> None:
        """Show a registered version as what a run made."""
        source = self.client.get_model_version(name, str(version)).source or ""
        self.client.log_outputs(run_id, [LoggedModelOutput(model_id_of(source), step=0)])

    def has_runs(self, run_ids: Iterable[str]) -> bool:
        """Whether all of these runs are still in the store."""
        try:
            return all(self.client.get_run(run_id).info.lifecycle_stage == "active" for run_id in run_ids)
        except MlflowException:
            return False


def model_id_of(model_uri: str) -> str:
    """The id of a logged model.

    >>> model_id_of("models:/m-0123")
    'm-0123'
    """
    return model_uri.rpartition("/")[2]


def prepare_store(tracking_uri: str) -> mlflow.MlflowClient:
    """Connect to the tracking store, making a local database first where there is none.

    Raises:
        UsageError: it can't be reached or written to.
    """
    try:
        with _one_at_a_time(tracking_uri):
            mlflow.set_tracking_uri(tracking_uri)
            client = mlflow.MlflowClient()
            client.search_experiments(max_results=1)
            return client
    except (MlflowException, OSError, UsageError) as error:
        raise _unusable(tracking_uri, error) from error


def _unusable(tracking_uri: str, error: BaseException) -> UsageError:
    return UsageError(
        f"cannot use the tracking store {_without_secrets(tracking_uri)}: {_first_line(error)}. "
        "Set MLFLOW_TRACKING_URI to one that can be reached and written."
    )


def _artifact_location(tracking_uri: str, experiment: str) -> str | None:
    """Where an experiment's files go: beside a local database; a server decides for itself."""
    url = urlparse(tracking_uri)
    if url.scheme in ("http", "https"):
        return None
    folder = _database(tracking_uri)
    base = folder.parent if folder is not None else Path("mlruns").absolute()
    return (base / "artifacts" / experiment).as_uri()


def _database(tracking_uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(tracking_uri.removeprefix(prefix)).absolute() if tracking_uri.startswith(prefix) else None


def _one_at_a_time(tracking_uri: str) -> AbstractContextManager[object]:
    """Keep two processes from making the same local database, or experiment, at once."""
    database = _database(tracking_uri)
    return nullcontext() if database is None else locked(database)


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


def _now() -> int:
    return int(time.time() * 1000)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _without_secrets(uri: str) -> str:
    url = urlparse(uri)
    return uri if url.password is None else uri.replace(f":{url.password}@", ":***@")
