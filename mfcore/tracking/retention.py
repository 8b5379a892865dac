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
        one.name.removeprefix(EXPERIMENTS) for one in _all(client.search_experiments, f"name LIKE '{EXPERIMENTS}%'")
    }
    prefix = model_name("")
    return runs | {
        one.name.removeprefix(prefix) for one in _all(client.search_registered_models, f"name LIKE '{prefix}%'")
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
            one.version: Leftover(
                what="version", dataset=self.dataset, name=str(one.version), used_at=one.made_at / 1000
            )
            for one in versions
        }
        bound = {one.version for one in versions if one.aliases or self._registry.is_rolled_back(one.version)}
        expired = [one for one in rule.expired(free.values()) if int(one.name) not in bound]
        gone = {int(one.name) for one in expired}
        return expired, [one for one in versions if one.version not in gone]

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
            model_id_of(self._client.get_model_version(one.name, str(one.version)).source or "") for one in staying
        }
        models = _all(self._client.search_logged_models, experiment_ids=[self._experiment_id])
        running = self._running()
        return [
            Leftover(what="model", dataset=self.dataset, name=one.model_id, used_at=one.creation_timestamp / 1000)
            for one in models
            if one.model_id not in used
            and one.creation_timestamp < rule.before * 1000
            and one.source_run_id not in running
        ]

    def old_trials(self, rule: Rule, best: int) -> list[Leftover]:
        """Trials that may go, but for the best of each study; the rule counts the runs that they are children of."""
        trials = self._trials()
        last: dict[str, int] = defaultdict(int)
        for one in trials:
            parent = one.data.tags.get(PARENT, "")
            last[parent] = max(last[parent], one.info.start_time)
        old = {
            one.name
            for one in rule.expired(
                Leftover(what="trial", dataset=self.dataset, name=parent, used_at=began / 1000)
                for parent, began in last.items()
            )
        } - self._running()
        kept = {one.info.run_id for some in _studies(trials).values() for one in some[:best]}
        return [
            Leftover(what="trial", dataset=self.dataset, name=one.info.run_id, used_at=one.info.start_time / 1000)
            for one in trials
            if one.data.tags.get(PARENT, "") in old and one.info.run_id not in kept
        ]

    def remove(self, leftovers: Collection[Leftover]) -> None:
        """Move them to MLflow's trash: versions, then models, then trials.

        The best trial of each study remembers first that others were logged: a run that reuses the
        study would log them again.
        """
        names: Mapping[str, list[str]] = {
            what: [one.name for one in leftovers if one.what == what] for what in ("version", "model", "trial")
        }
        for version in names["version"]:
            self._client.delete_model_version(self._registry.name, version)
        for model in names["model"]:
            self._client.delete_logged_model(model)
        going = set(names["trial"])
        for some in _studies(self._trials() if going else []).values():
            if going.isdisjoint(one.info.run_id for one in some):
                continue
            counted = [int(one.data.tags["trial"]) + 1 for one in some]
            counted += [int(one.data.tags.get(REMOVED_BELOW, 0)) for one in some]
            self._client.set_tag(some[0].info.run_id, REMOVED_BELOW, str(max(counted)))
        for run_id in names["trial"]:
            self._client.delete_run(run_id)

    def _trials(self) -> list[Run]:
        if self._experiment_id is None:
            return []
        wanted = "tags.stage = 'tune' and attributes.status = 'FINISHED'"
        found = _all(self._client.search_runs, [self._experiment_id], wanted)
        return [one for one in found if "trial" in one.data.tags]

    def _running(self) -> set[str]:
        """Runs that are under way, on whichever machine."""
        if self._experiment_id is None:
            return set()
        found = _all(self._client.search_runs, [self._experiment_id], "attributes.status = 'RUNNING'")
        return {one.info.run_id for one in found}


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
    for one in trials:
        studies[one.data.tags["study"]].append(one)

    def loss(one: Run) -> tuple[float, int]:
        objective = Objective(one.data.tags["objective"])
        name = next(_figures(one.data.metrics), None)
        value = float("inf") if name is None else objective.loss(one.data.metrics[name])
        return value, int(one.data.tags["trial"])

    return {study: sorted(some, key=loss) for study, some in studies.items()}


def _figures(metrics: Mapping[str, float]) -> Iterator[str]:
    """The metric that decided, among those of a trial."""
    return (name for name in metrics if name.startswith("validation_") and not name.endswith(("_spread", "_by_epoch")))


def _all(search: Any, *arguments: Any, **options: Any) -> list[Any]:
    """All that a search of MLflow's finds, page by page."""
    page = search(*arguments, **options)
    found = list(page)
    while page.token:
        page = search(*arguments, page_token=page.token, **options)
        found += page
    return found
