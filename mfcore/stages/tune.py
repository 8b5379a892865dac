"""Tune: one study per objective and algorithm, on validation ratings only."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mfcore.config import PipelineConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import Split
from mfcore.errors import NothingRelevant, TrainingDiverged
from mfcore.machine import n_threads
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.stages.context import Context, ParentRun
from mfcore.stages.together import n_together
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.files import locked, scratch_folder
from mfcore.storage.kinds import Kind
from mfcore.tracking.finalists import log_trial_figures
from mfcore.tuning import Trial, Tuned, search_spaces
from mfcore.tuning.folds import folds_of, sampled
from mfcore.tuning.interrupt import first_interrupt
from mfcore.tuning.space import Space, n_planned
from mfcore.tuning.workers import training_pool
from mfcore.workers import WorkerPool

__all__ = ["Invitation", "load_tuned", "studies_of", "take_part", "tune_recipes"]

logger = logging.getLogger("mfcore.stages")

_CODE = code_of("mfcore.models", "mfcore.metrics", "mfcore.tuning")
_FILE = "tuned.json"

T = TypeVar("T")


class Invitation(BaseModel):
    """What a machine has to know to take part in a search; all paths are in the home folder, which it sees, too.

    Attributes:
        config: of the run.
        ratings: folder of the ratings.
        splits: folder of the split.
        journals: the studies' files by their names.
        champion: the recipes to be beaten.
        open: a folder that is there while the search goes on.
    """

    config: PipelineConfig
    ratings: Path
    splits: Path
    journals: dict[str, Path]
    champion: dict[Objective, Recipe]
    open: Path


def take_part(invitation: dict[str, Any]) -> None:
    """Run trials of a search that another machine began, until it is over; what they give is told by that machine."""
    from mfcore.tuning import SearchInterrupted, tune

    search = Invitation.model_validate(invitation)
    train, validation = _parts(search.ratings, search.splits)
    for name, space in search_spaces(search.config.tuning, train.scale).items():
        if not search.open.exists():
            return
        with suppress(SearchInterrupted, NothingRelevant, TrainingDiverged):
            tune(
                space.algorithm,
                train,
                validation,
                search.config.tuning,
                search.journals[name],
                objective=space.objective,
                lists=search.config.evaluation,
                champion=search.champion.get(space.objective),
                is_stopped=lambda: not search.open.exists(),
            )


def tune_recipes(context: Context, splits: Artifact | None = None) -> Artifact:
    """Search the hyper-parameters of each algorithm for each objective; each trial is a run in MLflow.

    Raises:
        UsageError: a search space names what is not known.
        MfcoreError: a stage before is run because its output is lacking, and fails.
        NothingRelevant: nobody liked anything among the validation ratings, and only lists were tuned for.
    """
    search_spaces(context.config.tuning)
    champion = context.registry.champion()
    recipes = champion.recipes if champion else {}
    with context.parent_run("tune") as run:
        source = context.input(splits, Kind.SPLITS)
        studies = _search(context, source, recipes, run)
        studied = load_tuned(studies)
        if run.has_begun:
            log_trial_figures(context.experiment, studied, run.id)
    best = [f"{name} {tuned.metric_name} {tuned.value:.4f}" for name, tuned in studied.items()]
    return context.report(studies, "best " + ", ".join(best))


def studies_of(context: Context) -> Artifact:
    """What was found for the configuration, though by a search that was ended early; where nothing was, tune."""
    splits, store = context.input(None, Kind.SPLITS), context.store
    key = _search_key(context.config, store.input(splits, Kind.RATINGS), splits)[0]
    if store.find(Kind.STUDIES, splits.dataset, key) is None and store.has(Kind.STUDIES, splits.dataset, search=key):
        return store.newest(Kind.STUDIES, splits.dataset, search=key)
    return tune_recipes(context, splits)


def load_tuned(studies: Artifact) -> dict[str, Tuned]:
    """What each study found, by names such as `ranking-als`."""
    tree = json.loads((studies.path / _FILE).read_text(encoding="utf-8"))
    return {name: Tuned.model_validate(entry) for name, entry in tree.items()}


def _search(context: Context, splits: Artifact, champion: Mapping[Objective, Recipe], run: ParentRun) -> Artifact:
    """Run the studies, unless that has been done; see to it that every trial has its run in MLflow.

    Ctrl-C ends them with the trials that are finished. The output is then another one than that
    of the whole search, which goes on from there when it is asked for again.
    """
    config, store = context.config, context.store
    data = store.input(splits, Kind.RATINGS)
    key, spaces = _search_key(config, data, splits)
    keys = {name: _study_key(space, config, splits) for name, space in spaces.items()}
    studies = store.find(Kind.STUDIES, splits.dataset, key)
    if studies is not None:
        for name, tuned in load_tuned(studies).items():
            log = _trial_log(context, keys[name], data, splits, run)
            for trial in tuned.trials:
                log(trial)
        return studies

    _ = run.id  # begins here: below, several studies would begin it at once
    train, validation = _parts(data.path, splits.path)
    folder = store.home / "studies"
    journals = {name: folder / "journals" / f"{splits.dataset}-{name}-{key}.log" for name, key in keys.items()}
    with (
        first_interrupt("Tuning ends with what has been found; Ctrl-C again stops everything.") as is_stopped,
        _cluster_invited(context, data.path, splits.path, journals, champion),
    ):

        def study(name: str, pool: WorkerPool | None) -> Tuned | NothingRelevant | None:
            space, journal = spaces[name], journals[name]
            best = champion.get(space.objective)
            # Of two runs at once the second finds the first one's trials in MLflow, and logs none of them again.
            alone = locked(journal.with_suffix(".trials")) if config.tuning.storage is None else nullcontext()
            with alone:
                log = _trial_log(context, keys[name], data, splits, run)
                try:
                    outcome = _study(context, name, space, train, validation, journal, log, best, is_stopped, pool)
                except NothingRelevant as error:
                    return error
                context.experiment.flush()
                return outcome

        outcomes = _all(study, spaces, train, validation, config, folder)
    studied = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, Tuned)}
    unmeasurable = {
        spaces[name].objective: outcome for name, outcome in outcomes.items() if isinstance(outcome, NothingRelevant)
    }
    for objective, reason in unmeasurable.items():
        logger.warning("%s is left out: %s", objective, reason)
    if not studied:
        raise next(iter(unmeasurable.values()), KeyboardInterrupt())
    ended_early: dict[str, str] = {}
    if len(studied) < len(keys) or any(tuned.interrupted for tuned in studied.values()):
        ended_early = {"search": key}
        key = fingerprint(key, {name: [trial.number for trial in tuned.trials] for name, tuned in studied.items()})

    def write(folder: Path) -> dict[str, Any]:
        tree = {name: tuned.model_dump(mode="json") for name, tuned in studied.items()}
        (folder / _FILE).write_text(json.dumps(tree, indent=1), encoding="utf-8")
        best = {name: {tuned.metric_name: tuned.value, "at_edge": tuned.at_edge} for name, tuned in studied.items()}
        return {**best, **ended_early}

    return store.make(Kind.STUDIES, splits.dataset, key, write, [splits])


def _parts(ratings: Path, splits: Path) -> tuple[Ratings, Ratings]:
    """What trials are trained on, and what they are scored on."""
    whole, parts = Ratings.load(ratings), Split.load(splits)
    return whole.take(parts.train), whole.take(parts.validation)


@contextmanager
def _cluster_invited(
    context: Context, ratings: Path, splits: Path, journals: dict[str, Path], champion: Mapping[Objective, Recipe]
) -> Iterator[None]:
    """Have the machines of the cluster, if there is one, take part in the search while the block runs."""
    config, cluster = context.config, context.config.cluster
    if cluster.address is None or config.tuning.storage is None:
        yield
        return
    with scratch_folder(context.store.home / "studies") as open_:
        invitation = Invitation(
            config=config,
            ratings=ratings.absolute(),
            splits=splits.absolute(),
            journals={name: journal.absolute() for name, journal in journals.items()},
            champion=dict(champion),
            open=open_.absolute(),
        )
        parts = [invitation.model_dump(mode="json")] * cluster.n_workers
        # A part of it lasts as long as the search.
        with context.observer.on_cluster(cluster.address, f"{__name__}:{take_part.__name__}", parts, None):
            try:
                yield
            finally:
                open_.rmdir()


def _all(
    study: Callable[[str, WorkerPool | None], T],
    spaces: dict[str, Space],
    train: Ratings,
    validation: Ratings,
    config: PipelineConfig,
    home: Path,
) -> dict[str, T]:
    """Run all studies, some of them side by side, a worker each; the trials of each follow one another."""
    n_trials = sum(n_planned(space, config.tuning, None) for space in spaces.values())
    is_own = config.tuning.n_workers == 1 and config.tuning.storage is None
    is_own &= not any(space.model.elsewhere for space in spaces.values())
    n_ratings = len(sampled(train, validation, config.tuning)[0])
    side_by_side = n_together(len(spaces), n_trials, n_ratings) if is_own else 1
    if side_by_side == 1:
        return {name: study(name, None) for name in spaces}
    sticks = [Yardstick.of(objective, config.tuning, config.evaluation) for objective in Objective]
    folds = {stick.objective: folds_of(train, validation, config.tuning, stick) for stick in sticks}
    with (
        ThreadPoolExecutor(side_by_side, thread_name_prefix="study") as threads,
        training_pool(folds, home, n_threads() // side_by_side) as pool,
    ):
        # Lists take longer to measure than errors, so that their studies, the last, begin first. An orchestrator
        # finds the run that a step belongs to in the context of the thread.
        running = {name: threads.submit(copy_context().run, study, name, pool) for name in reversed(spaces)}
        try:
            return {name: running[name].result() for name in spaces}
        except BaseException:
            for outcome in running.values():
                outcome.cancel()
            raise


def _study(
    context: Context,
    name: str,
    space: Space,
    train: Ratings,
    validation: Ratings,
    journal: Path,
    log: Callable[[Trial], None],
    champion: Recipe | None,
    is_stopped: Callable[[], bool],
    pool: WorkerPool | None,
) -> Tuned | None:
    """Run or resume one study; None if it was stopped before its first trial was finished."""
    # Optuna takes half a second to import, and a night that has nothing to search does without.
    from mfcore.tuning import SearchInterrupted, tune

    config = context.config

    def run() -> Tuned | None:
        best: float | None = None

        def on_trial(trial: Trial) -> None:
            nonlocal best
            log(trial)
            if space.objective.better(trial.value, best):
                best = trial.value

        with context.observer.progress(f"tuning-{name}-{context.dataset_name}", name, "trials") as move:
            try:
                return tune(
                    space.algorithm,
                    train,
                    validation,
                    config.tuning,
                    journal,
                    on_trial,
                    objective=space.objective,
                    lists=config.evaluation,
                    champion=champion,
                    on_progress=lambda done, of: move(done, of, "" if best is None else f"best {best:.4f}"),
                    is_stopped=is_stopped,
                    pool=pool,
                )
            except SearchInterrupted:
                logger.warning("%s: no trial was finished; it is left out", name)
                return None

    tuned = context.observer.step(f"tune-{name}", run)
    if tuned is None:
        return None
    for edge in tuned.at_edge:
        logger.warning("%s: the best %s, %s, lies at the edge of its range", name, edge, tuned.recipe.params[edge])
    return tuned


def _search_key(config: PipelineConfig, data: Artifact, splits: Artifact) -> tuple[str, dict[str, Space]]:
    """Fingerprint of a search that is run to its end, and the spaces it searches."""
    scale = Ratings.load(data.path, mapped=True).scale
    spaces = search_spaces(config.tuning, scale)
    keys = [_study_key(space, config, splits) for space in spaces.values()]
    return fingerprint("studies", keys, config.tuning.n_trials, config.tuning.timeout), spaces


def _study_key(space: Space, config: PipelineConfig, splits: Artifact) -> str:
    """Fingerprint of what decides a trial; how many are run, and by whom, is not part of it.

    So more can be added. Nor is the champion: a study keeps to the one it began with.
    """
    decisive = config.tuning.model_dump(include={"sampler", "pruner", "validation", "n_folds", "sample"})
    yardstick = Yardstick.of(space.objective, config.tuning, config.evaluation).model_dump(mode="json")
    searched = [space.model().model_dump(), asdict(space)]
    return fingerprint("study", _CODE, splits.fingerprint, decisive, yardstick, searched)


def _trial_log(context: Context, key: str, data: Artifact, splits: Artifact, run: ParentRun) -> Callable[[Trial], None]:
    """A function that logs finished trials, those that have no run in MLflow yet."""
    experiment = context.experiment
    logged = experiment.logged_trials(key)
    tags = {"split": splits.fingerprint, "data": data.fingerprint}

    def log(trial: Trial) -> None:
        if context.config.tuning.storage is not None and trial.number not in logged:
            logged.update(experiment.logged_trials(key))  # by the machine that ran it
        if trial.number not in logged:
            experiment.log_trial(trial, key, run.id, tags)
            logged.add(trial.number)
            outcome = "diverged" if trial.value is None else f"{trial.metric_name} {trial.value:.4f}"
            logger.info(
                "%s: %s in %d epochs, %.1f s (%s)", trial.name, outcome, len(trial.curve), trial.seconds, trial.outcome
            )

    return log
