"""Tune: one study per objective and algorithm, on validation ratings only."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.common import dataset_of, input_artifact, logger, open_store, parent_run, report
from flows.progress import progress
from flows.split import split
from mfcore.config import PipelineConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import Split
from mfcore.errors import NothingRelevant
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.tracking.finalists import log_trial_figures
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tuning import SearchInterrupted, Trial, Tuned, search_spaces
from mfcore.tuning import tune as run_study
from mfcore.tuning.interrupt import first_interrupt
from mfcore.tuning.space import Space

__all__ = ["load_tuned", "studies_of", "tune"]

_CODE = code_of("mfcore.models", "mfcore.metrics", "mfcore.tuning")
_FILE = "tuned.json"


@flow(name="tune")
def tune(
    config: PipelineConfig = PipelineConfig(), splits: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Search the hyper-parameters of each algorithm for each objective; each trial is a run in MLflow."""
    search_spaces(config.tuning)
    settings, dataset = Settings.read(), splits.dataset if splits else dataset_of(config)
    experiment = Experiment(settings, dataset)
    champion = Registry(settings, dataset).champion()
    recipes = champion.recipes if champion else {}
    with parent_run(experiment, "tune", config, run_id) as parent:
        splits = input_artifact(splits, "splits", config, partial(split, run_id=parent))
        studies = search(config, splits, experiment, parent, recipes)
        found = load_tuned(studies)
        log_trial_figures(experiment, found, parent)
    best = [f"{name} {tuned.metric_name} {tuned.value:.4f}" for name, tuned in found.items()]
    return report(studies, "best " + ", ".join(best))


def studies_of(config: PipelineConfig, run_id: str) -> Artifact:
    """What was found for `config`, though by a search that was ended early; where nothing was, tune."""
    splits = input_artifact(None, "splits", config, partial(split, run_id=run_id))
    store, key = open_store(), _search_key(config, splits)[0]
    if store.find("studies", splits.dataset, key) is None and store.has("studies", splits.dataset, search=key):
        return store.newest("studies", splits.dataset, search=key)
    return tune(config, splits, run_id)


def load_tuned(studies: Artifact) -> dict[str, Tuned]:
    """What each study found, by names such as `ranking-als`."""
    tree = json.loads((studies.path / _FILE).read_text(encoding="utf-8"))
    return {name: Tuned.model_validate(found) for name, found in tree.items()}


def search(
    config: PipelineConfig,
    splits: Artifact,
    experiment: Experiment,
    parent: str,
    champion: Mapping[Objective, Recipe],
) -> Artifact:
    """Run the studies, unless that has been done; see to it that every trial has its run in MLflow.

    Ctrl-C ends them with the trials that are finished. The output is then another one than that
    of the whole search, which goes on from there when it is asked for again.
    """
    store = open_store()
    key, spaces = _search_key(config, splits)
    keys = {name: _study_key(space, config, splits) for name, space in spaces.items()}
    studies = store.find("studies", splits.dataset, key)
    if studies is not None:
        for name, tuned in load_tuned(studies).items():
            log = _trial_log(experiment, keys[name], config, splits, parent)
            for trial in tuned.trials:
                log(trial)
        return studies

    found: dict[str, Tuned] = {}
    unmeasurable: dict[Objective, NothingRelevant] = {}
    with first_interrupt("Tuning ends with what has been found; Ctrl-C again stops everything.") as is_stopped:
        for name, space in spaces.items():
            if space.objective in unmeasurable:
                continue
            try:
                outcome = study(
                    name, space, config, splits, experiment, parent, champion.get(space.objective), is_stopped
                )
            except NothingRelevant as error:
                logger.warning("%s is left out: %s", space.objective, error)
                unmeasurable[space.objective] = error
                continue
            if outcome is not None:
                found[name] = outcome
    if not found:
        raise next(iter(unmeasurable.values()), KeyboardInterrupt())
    ended_early: dict[str, str] = {}
    if len(found) < len(keys) or any(tuned.interrupted for tuned in found.values()):
        ended_early = {"search": key}
        key = fingerprint(key, {name: [trial.number for trial in tuned.trials] for name, tuned in found.items()})

    def write(folder: Path) -> dict[str, Any]:
        tree = {name: tuned.model_dump(mode="json") for name, tuned in found.items()}
        (folder / _FILE).write_text(json.dumps(tree, indent=1), encoding="utf-8")
        best = {name: {tuned.metric_name: tuned.value, "at_edge": tuned.at_edge} for name, tuned in found.items()}
        return {**best, **ended_early}

    return store.make("studies", splits.dataset, key, write, [splits])


@task(cache_policy=NO_CACHE, task_run_name="tune-{name}")
def study(
    name: str,
    space: Space,
    config: PipelineConfig,
    splits: Artifact,
    experiment: Experiment,
    parent: str,
    champion: Recipe | None,
    is_stopped: Callable[[], bool],
) -> Tuned | None:
    """Run or resume one study; None if it was stopped before its first trial was finished."""
    store = open_store()
    ratings = Ratings.load(store.input(splits, "ratings").path)
    parts = Split.load(splits.path)
    key = _study_key(space, config, splits)
    journal = store.home / "studies" / "journals" / f"{splits.dataset}-{name}-{key}.log"
    log = _trial_log(experiment, key, config, splits, parent)
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    with progress(name, splits.dataset) as move:
        best: float | None = None

        def on_trial(trial: Trial) -> None:
            nonlocal best
            log(trial)
            if space.objective.better(trial.value, best):
                best = trial.value

        try:
            tuned = run_study(
                space.algorithm,
                train,
                validation,
                config.tuning,
                journal,
                on_trial,
                objective=space.objective,
                lists=config.evaluation,
                champion=champion,
                on_progress=lambda finished, planned: move(finished, planned, best),
                is_stopped=is_stopped,
            )
        except SearchInterrupted:
            logger.warning("%s: no trial was finished; it is left out", name)
            return None
    for edge in tuned.at_edge:
        logger.warning("%s: the best %s, %s, lies at the edge of its range", name, edge, tuned.recipe.params[edge])
    return tuned


def _search_key(config: PipelineConfig, splits: Artifact) -> tuple[str, dict[str, Space]]:
    """Fingerprint of a search that is run to its end, and the spaces it searches."""
    scale = Ratings.load(open_store().input(splits, "ratings").path, mapped=True).scale
    spaces = search_spaces(config.tuning, scale)
    keys = [_study_key(space, config, splits) for space in spaces.values()]
    return fingerprint("studies", keys, config.tuning.n_trials, config.tuning.timeout), spaces


def _study_key(space: Space, config: PipelineConfig, splits: Artifact) -> str:
    """Fingerprint of what decides a trial; how many are run, and by whom, is not part of it.

    So more can be added. Nor is the champion: a study keeps to the one it began with.
    """
    decisive = config.tuning.model_dump(include={"sampler", "pruner", "validation", "n_folds"})
    yardstick = Yardstick.of(space.objective, config.tuning, config.evaluation).model_dump(mode="json")
    searched = [space.model().model_dump(), asdict(space)]
    return fingerprint("study", _CODE, splits.fingerprint, decisive, yardstick, searched)


def _trial_log(
    experiment: Experiment, key: str, config: PipelineConfig, splits: Artifact, parent: str
) -> Callable[[Trial], None]:
    """A function that logs finished trials, those that have no run in MLflow yet."""
    logged = experiment.logged_trials(key)
    tags = {"split": splits.fingerprint, "data": open_store().input(splits, "ratings").fingerprint}

    def log(trial: Trial) -> None:
        if config.tuning.storage is not None and trial.number not in logged:
            logged.update(experiment.logged_trials(key))  # by the machine that ran it
        if trial.number not in logged:
            experiment.log_trial(trial, key, parent, tags)
            logged.add(trial.number)
            outcome = "diverged" if trial.value is None else f"{trial.metric_name} {trial.value:.4f}"
            logger.info(
                "%s: %s in %d epochs, %.1f s (%s)", trial.name, outcome, len(trial.curve), trial.seconds, trial.outcome
            )

    return log
