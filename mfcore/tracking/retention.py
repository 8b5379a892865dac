"""`Shelf`: trials, models and versions of a data set in MLflow that may go, found and removed."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from mlflow.entities import Run

from mfcore.errors import UsageError, first_line
from mfcore.metrics.objective import Objective
from mfcore.settings import Settings, database_of
from mfcore.storage.retention import Leftover, Rule
from mfcore.tracking.database import alone
from mfcore.tracking.names import EXPERIMENTS, PARENT, REMOVED_BELOW, model_name
from mfcore.tracking.registry import Registered, Registry
from mfcore.tracking.runs import model_id_of
from mfcore.tracking.store import prepare_store

__all__ = ["Shelf", "empty_trash", "known_datasets"]


def known_datasets(settings: Settings) -> set[str]:
    """The data sets that MLflow has runs or models of."""
    client = prepare_store(settings.tracking_uri)
    runs = {
        experiment.name.removeprefix(EXPERIMENTS)
        for experiment in _all(client.search_experiments, f"name LIKE '{EXPERIMENTS}%'")
    }
    prefix = model_name("")
    return runs | {
        model.name.removeprefix(prefix) for model in _all(client.search_registered_models, f"name LIKE '{prefix}%'")
    }


class Shelf:
    """One data set's trials, models and versions in MLflow."""

    def __init__(self, settings: Settings, dataset: str) -> None:
        """Connect.

        Raises:
            SourceUnavailable: the store does not answer.
        """
        self.dataset = dataset
        self._client = prepare_store(settings.tracking_uri)
        self._tracking_uri = settings.tracking_uri
        self._registry = Registry(settings, dataset)
        experiment = self._client.get_experiment_by_name(f"{EXPERIMENTS}{dataset}")
        self._experiment_id = None if experiment is None else experiment.experiment_id

    def old_versions(self, rule: Rule) -> tuple[list[Leftover], list[Registered]]:
        """Versions that may go, and those that stay.

        One that has an alias stays, and so does one that was rolled back: the next run would
        make it again, and find nothing that says that it is not wanted.
        """
        versions = self._registry.versions()
        free = {
            version.version: Leftover(
                what="version", dataset=self.dataset, name=str(version.version), used_at=version.made_at / 1000
            )
            for version in versions
        }
        bound = {
            version.version for version in versions if version.aliases or self._registry.is_rolled_back(version.version)
        }
        expired = [leftover for leftover in rule.expired(free.values()) if int(leftover.name) not in bound]
        gone = {int(leftover.name) for leftover in expired}
        return expired, [version for version in versions if version.version not in gone]

    def old_models(self, rule: Rule, staying: Collection[Registered], needed: Collection[str]) -> list[Leftover]:
        """Logged models that no version is made of and that nothing needs.

        Args:
            rule: only its age counts.
            staying: versions.
            needed: URIs of models that an evaluation may still register.
        """
        if self._experiment_id is None:
            return []
        used = {model_id_of(uri) for uri in needed} | {
            model_id_of(self._client.get_model_version(version.name, str(version.version)).source or "")
            for version in staying
        }
        models = _all(self._client.search_logged_models, experiment_ids=[self._experiment_id])
        running = self._running()
        return [
            Leftover(what="model", dataset=self.dataset, name=model.model_id, used_at=model.creation_timestamp / 1000)
            for model in models
            if model.model_id not in used
            and model.creation_timestamp < rule.before * 1000
            and model.source_run_id not in running
        ]

    def old_trials(self, rule: Rule, best: int) -> list[Leftover]:
        """Trials that may go, but for the best of each study; the rule counts the runs that they are children of."""
        trials = self._trials()
        last: dict[str, int] = defaultdict(int)
        for trial in trials:
            parent = trial.data.tags.get(PARENT, "")
            last[parent] = max(last[parent], trial.info.start_time)
        old = {
            leftover.name
            for leftover in rule.expired(
                Leftover(what="trial", dataset=self.dataset, name=parent, used_at=began / 1000)
                for parent, began in last.items()
            )
        } - self._running()
        kept = {trial.info.run_id for some in _studies(trials).values() for trial in some[:best]}
        return [
            Leftover(what="trial", dataset=self.dataset, name=trial.info.run_id, used_at=trial.info.start_time / 1000)
            for trial in trials
            if trial.data.tags.get(PARENT, "") in old and trial.info.run_id not in kept
        ]

    def remove(self, leftovers: Collection[Leftover]) -> None:
        """Move them to MLflow's trash: versions, then models, then trials.

        The best trial of each study remembers first that others were logged: a run that reuses the
        study would log them again.
        """
        names: Mapping[str, list[str]] = {
            what: [leftover.name for leftover in leftovers if leftover.what == what]
            for what in ("version", "model", "trial")
        }
        for version in names["version"]:
            self._client.delete_model_version(self._registry.name, version)
        for model in names["model"]:
            self._client.delete_logged_model(model)
        going = set(names["trial"])
        for some in _studies(self._trials() if going else []).values():
            if going.isdisjoint(trial.info.run_id for trial in some):
                continue
            counted = [int(trial.data.tags["trial"]) + 1 for trial in some]
            counted += [int(trial.data.tags.get(REMOVED_BELOW, 0)) for trial in some]
            self._client.set_tag(some[0].info.run_id, REMOVED_BELOW, str(max(counted)))
        for run_id in names["trial"]:
            self._client.delete_run(run_id)

    def _trials(self) -> list[Run]:
        if self._experiment_id is None:
            return []
        wanted = "tags.stage = 'tune' and attributes.status = 'FINISHED'"
        runs = _all(self._client.search_runs, [self._experiment_id], wanted)
        return [run for run in runs if "trial" in run.data.tags]

    def _running(self) -> set[str]:
        """Runs that are under way, on whichever machine."""
        if self._experiment_id is None:
            return set()
        runs = _all(self._client.search_runs, [self._experiment_id], "attributes.status = 'RUNNING'")
        return {run.info.run_id for run in runs}


def empty_trash(settings: Settings, days: float) -> None:
    """Delete for good what has been in the trash of MLflow's local database for so many days, whoever put it there.

    Behind a server the database belongs to whoever runs that.

    Raises:
        UsageError: MLflow could not.
    """
    if database_of(settings.tracking_uri) is None:
        return
    command = [sys.executable, "-m", "mlflow", "gc", "--older-than", f"{days:f}d"]
    command += ["--backend-store-uri", settings.tracking_uri, "--tracking-uri", settings.tracking_uri]
    with alone(settings.tracking_uri):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UsageError(
            f"MLflow could not empty its trash: {first_line(said[-1])}. What was removed lies there still."
        )


def _studies(trials: list[Run]) -> dict[str, list[Run]]:
    """The trials of each study, the best one first; those that diverged are last."""
    studies: dict[str, list[Run]] = defaultdict(list)
    for trial in trials:
        studies[trial.data.tags["study"]].append(trial)

    def loss(trial: Run) -> tuple[float, int]:
        objective = Objective(trial.data.tags["objective"])
        name = next(_figures(trial.data.metrics), None)
        value = float("inf") if name is None else objective.loss(trial.data.metrics[name])
        return value, int(trial.data.tags["trial"])

    return {study: sorted(some, key=loss) for study, some in studies.items()}


def _figures(metrics: Mapping[str, float]) -> Iterator[str]:
    """The metric that decided, among those of a trial."""
    return (name for name in metrics if name.startswith("validation_") and not name.endswith(("_spread", "_by_epoch")))


def _all(search: Any, *arguments: Any, **options: Any) -> list[Any]:
    """All that a search of MLflow's finds, page by page."""
    page = search(*arguments, **options)
    entries = list(page)
    while page.token:
        page = search(*arguments, page_token=page.token, **options)
        entries += page
    return entries
