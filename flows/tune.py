"""Tune: one study an algorithm, on validation ratings only."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.common import input_artifact, logger, open_store, parent_run, report
from mfcore import __version__
from mfcore.artifacts import Artifact, fingerprint
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import Split
from mfcore.models import MODELS
from mfcore.settings import Settings
from mfcore.tracking.finalists import log_trial_figures
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Trial, Tuned
from mfcore.tuning import tune as run_study

__all__ = ["load_tuned", "tune"]

_VERSION = 1
_FILE = "tuned.json"


@flow(name="tune")
def tune(
    config: PipelineConfig = PipelineConfig(), splits: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Search the hyper-parameters of each algorithm; each trial is a run in MLflow."""
    splits = input_artifact(splits, "splits", resolve(config.dataset).name)
    experiment = Experiment(Settings.read(), splits.dataset)
    with parent_run(experiment, "tune", config, run_id) as parent:
        studies = search(config, splits, experiment, parent)
        log_trial_figures(experiment, load_tuned(studies), parent)
    best = {name: f"{tuned.validation_rmse:.4f}" for name, tuned in load_tuned(studies).items()}
    return report(studies, "best validation RMSE " + ", ".join(f"{name} {value}" for name, value in best.items()))


def load_tuned(studies: Artifact) -> dict[str, Tuned]:
    """What each algorithm's study found."""
    tree = json.loads((studies.path / _FILE).read_text(encoding="utf-8"))
    return {name: Tuned.model_validate(found) for name, found in tree.items()}


def search(config: PipelineConfig, splits: Artifact, experiment: Experiment, parent: str) -> Artifact:
    """Run the studies, unless that has been done; see to it that every trial has its run in MLflow."""
    keys = [_study_key(name, config, splits) for name in config.tuning.algorithms]
    key = fingerprint("studies", keys, config.tuning.n_trials, config.tuning.timeout)

    def write(folder: Path) -> dict[str, Any]:
        found = {name: study(name, config, splits, experiment, parent) for name in config.tuning.algorithms}
        tree = {name: tuned.model_dump(mode="json") for name, tuned in found.items()}
        (folder / _FILE).write_text(json.dumps(tree, indent=1), encoding="utf-8")
        return {
            name: {"validation_rmse": tuned.validation_rmse, "at_edge": tuned.at_edge} for name, tuned in found.items()
        }

    studies = open_store().make("studies", splits.dataset, key, write, [splits])
    if studies.reused:
        for name, tuned in load_tuned(studies).items():
            log = _trial_log(experiment, _study_key(name, config, splits), splits, parent)
            for trial in tuned.trials:
                log(trial)
    return studies


@task(cache_policy=NO_CACHE, task_run_name="tune-{algorithm}")
def study(algorithm: str, config: PipelineConfig, splits: Artifact, experiment: Experiment, parent: str) -> Tuned:
    """Run or resume the study of one algorithm."""
    store = open_store()
    ratings = Ratings.load(store.input(splits, "ratings").path)
    parts = Split.load(splits.path)
    key = _study_key(algorithm, config, splits)
    journal = store.home / "studies" / "journals" / f"{splits.dataset}-{algorithm}-{key}.log"
    log = _trial_log(experiment, key, splits, parent)
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    tuned = run_study(algorithm, train, validation, config.tuning, journal, on_trial=log)
    for name in tuned.at_edge:
        logger.warning("%s: the best %s, %s, lies at the edge of its range", algorithm, name, tuned.recipe.params[name])
    return tuned


def _study_key(algorithm: str, config: PipelineConfig, splits: Artifact) -> str:
    """Fingerprint of what decides a trial; how many are run is not part of it, so that more can be added."""
    decisive = config.tuning.model_dump(include={"max_epochs", "patience", "seed"})
    model = MODELS[algorithm]
    searched = [model().model_dump(), {name: asdict(span) for name, span in model.space.items()}]
    return fingerprint("study", _VERSION, __version__, splits.fingerprint, algorithm, decisive, searched)


def _trial_log(experiment: Experiment, key: str, splits: Artifact, parent: str) -> Callable[[Trial], None]:
    """A function that logs finished trials, those that have no run in MLflow yet."""
    logged = experiment.logged_trials(key)
    tags = {"split": splits.fingerprint, "data": open_store().input(splits, "ratings").fingerprint}

    def log(trial: Trial) -> None:
        if trial.number not in logged:
            experiment.log_trial(trial, key, parent, tags)
            logged.add(trial.number)
            outcome = "diverged" if trial.validation_rmse is None else f"validation RMSE {trial.validation_rmse:.4f}"
            logger.info(
                "%s: %s in %d epochs, %.1f s (%s)", trial.name, outcome, len(trial.curve), trial.seconds, trial.outcome
            )

    return log
