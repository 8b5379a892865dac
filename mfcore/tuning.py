"""The search for hyper-parameters: one Optuna study an algorithm, on validation ratings only.

A study is a journal of finished trials. What is tried next is a function of the seed and
of the trials finished before it, and of nothing else, so a search that was killed and
started again ends with the recipe it would have ended with undisturbed.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from mfcore.config import TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.files import locked
from mfcore.metrics.rating import rmse
from mfcore.models import MODELS, Range, Recipe

if TYPE_CHECKING:
    import optuna

__all__ = ["Trial", "Tuned", "tune"]

logger = logging.getLogger(__name__)

_STARTUP_TRIALS = 8
"""Trials before the sampler models what it saw and the pruner compares: fewer tell too little."""


class Trial(BaseModel):
    """One finished trial.

    Attributes:
        number: position among the finished trials of its study, from 0.
        params: all hyper-parameters it was trained with, searched or not.
        curve: validation RMSE after each epoch.
        validation_rmse: the least of the curve.
        outcome: complete, pruned (its curve lay above the median of others) or diverged.
    """

    model_config = ConfigDict(frozen=True)

    algorithm: str
    number: int
    params: dict[str, float | int | bool | str]
    curve: list[float]
    validation_rmse: float | None
    outcome: Literal["complete", "pruned", "diverged"]
    seconds: float

    @property
    def name(self) -> str:
        """A short name, as in `als-007`."""
        return f"{self.algorithm}-{self.number:03d}"


class Tuned(BaseModel):
    """What a study found.

    Attributes:
        recipe: the best trial's hyper-parameters, with the number of epochs at which it was best.
        validation_rmse: of that trial at that epoch, trained on the training part alone.
        at_edge: searched hyper-parameters whose best value lies at the edge of its range.
        trials: all finished trials in order.
    """

    model_config = ConfigDict(frozen=True)

    recipe: Recipe
    validation_rmse: float
    at_edge: list[str]
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """The trial the recipe comes from."""
        return min(self.trials, key=lambda trial: (_or_inf(trial.validation_rmse), trial.number))


def tune(
    algorithm: str,
    train: Ratings,
    validation: Ratings,
    config: TuningConfig,
    journal: Path,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Tuned:
    """Search the hyper-parameters of `algorithm` for the least validation RMSE.

    Trial 0 is the algorithm's defaults. A trial ends after `config.max_epochs` epochs, after
    `config.patience` epochs without a better validation RMSE, or when the median pruner
    gives it up. Trials already in the `journal` count; the rest is run. A second process on
    the same journal waits for the first.

    Args:
        algorithm: a key of `mfcore.models.MODELS`.
        train: what trials are trained on.
        validation: what they are scored on, over the same ids.
        config: number of trials, time limit, seed.
        journal: the study's file; made when it is not there.
        on_trial: called with each finished trial, those of an earlier run first.

    Raises:
        TrainingDiverged: no trial came to an end.
    """
    started = time.monotonic()
    with locked(journal):
        study = _open_study(journal)
        trials = _finished(study, algorithm)[: config.n_trials]
        for trial in trials:
            on_trial(trial)
        while len(trials) < config.n_trials:
            if config.timeout is not None and trials and time.monotonic() - started > config.timeout:
                logger.info("%s: time limit of %g s reached after %d trials", algorithm, config.timeout, len(trials))
                break
            _prepare_next(study, algorithm, config.seed, len(trials))
            _run_trial(study, algorithm, train, validation, config)
            trials = _finished(study, algorithm)
            on_trial(trials[-1])
    return _result(algorithm, config, trials)


def _result(algorithm: str, config: TuningConfig, trials: list[Trial]) -> Tuned:
    scored = [trial for trial in trials if trial.validation_rmse is not None]
    if not scored:
        raise TrainingDiverged(
            f"all {len(trials)} trials of {algorithm} diverged, the defaults among them: "
            "are the ratings on the scale that the data set declares?"
        )
    best = min(scored, key=lambda trial: (_or_inf(trial.validation_rmse), trial.number))
    n_epochs = best.curve.index(min(best.curve)) + 1
    at_edge = [name for name, span in MODELS[algorithm].space.items() if _at_edge(float(best.params[name]), span)]
    if n_epochs == config.max_epochs:
        at_edge.append("n_epochs")
    recipe = Recipe(algorithm=algorithm, params={**best.params, "n_epochs": n_epochs})
    assert best.validation_rmse is not None
    return Tuned(recipe=recipe, validation_rmse=best.validation_rmse, at_edge=at_edge, trials=trials)


def _run_trial(
    study: "optuna.Study", algorithm: str, train: Ratings, validation: Ratings, config: TuningConfig
) -> None:
    from optuna.trial import TrialState

    trial = study.ask()
    model = MODELS[algorithm]
    searched = {name: _suggest(trial, model, name, span) for name, span in model.space.items()}
    recommender = model(seed=config.seed, n_epochs=config.max_epochs, **searched)
    trial.set_user_attr("params", recommender.model_dump(exclude={"n_epochs"}))
    best, best_epoch = math.inf, 0
    try:
        training = recommender.begin(train)
        for epoch in range(1, config.max_epochs + 1):
            training.step()
            error = rmse(training.factors().predict(validation.users, validation.items), validation.values)
            trial.report(error, epoch)
            if error < best:
                best, best_epoch = error, epoch
            if epoch - best_epoch >= config.patience:
                break
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
    except TrainingDiverged as diverged:
        logger.info("%s", diverged)
        trial.set_user_attr("diverged", True)
        study.tell(trial, state=TrialState.PRUNED)
        return
    study.tell(trial, best)


def _suggest(trial: "optuna.Trial", model: type[Any], name: str, span: Range) -> float | int:
    if model.model_fields[name].annotation is int:
        return trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
    return trial.suggest_float(name, span.low, span.high, log=span.log)


def _prepare_next(study: "optuna.Study", algorithm: str, seed: int, n_finished: int) -> None:
    """Make the next trial a function of the seed and the trials finished before it."""
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    own_seed = (seed * 1_000_003 + n_finished) % 2**32
    study.sampler = TPESampler(seed=own_seed, n_startup_trials=_STARTUP_TRIALS)
    if n_finished == 0 and not study.get_trials(states=(TrialState.WAITING,)):
        model = MODELS[algorithm]
        study.enqueue_trial({name: model.model_fields[name].default for name in model.space})


def _open_study(journal: Path) -> "optuna.Study":
    import optuna
    from optuna.pruners import MedianPruner
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _drop_torn_line(journal)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # Optuna's own, left by a killed run
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=journal.stem,
        load_if_exists=True,
        direction="minimize",
        pruner=MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=3),
    )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # of a killed run: the journal is locked, so nobody trains it
    return study


def _finished(study: "optuna.Study", algorithm: str) -> list[Trial]:
    from optuna.trial import TrialState

    found = []
    for number, trial in enumerate(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))):
        curve = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
        diverged = trial.user_attrs.get("diverged", False)
        duration = trial.duration.total_seconds() if trial.duration else 0.0
        pruned = trial.state == TrialState.PRUNED
        found.append(
            Trial(
                algorithm=algorithm,
                number=number,
                params=trial.user_attrs["params"],
                curve=curve,
                validation_rmse=min(curve) if curve and not diverged else None,
                outcome="diverged" if diverged else "pruned" if pruned else "complete",
                seconds=duration,
            )
        )
    return found


def _drop_torn_line(journal: Path) -> None:
    """Cut off a last line that a killed process left half written; Optuna refuses the file otherwise."""
    if journal.exists():
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with journal.open("r+b") as file:
                file.truncate(whole)


def _at_edge(value: float, span: Range) -> bool:
    """Whether `value` lies in the outer 2 % of its range."""
    low, high = (math.log(span.low), math.log(span.high)) if span.log else (span.low, span.high)
    position = ((math.log(value) if span.log else value) - low) / (high - low)
    return not 0.02 <= position <= 0.98


def _or_inf(value: float | None) -> float:
    return math.inf if value is None else value
