"""`Search`: which trial is next, how it goes, and when the study is over."""

import logging
import time
from collections.abc import Callable
from typing import Literal

from mfcore.config import TuningConfig
from mfcore.errors import TrainingDiverged
from mfcore.models import Recipe
from mfcore.tuning.sampling import Proposal, distributions, propose
from mfcore.tuning.space import Space, n_planned
from mfcore.tuning.trial_storage import TrialStorage
from mfcore.tuning.trials import Trial, Tuned, best_of

__all__ = ["Attempt", "Search", "SearchInterrupted"]

logger = logging.getLogger(__name__)

_DELAY = 8
"""Trials before it of which a trial of a random or grid search knows no result; enough for four workers not to wait."""
_WORKERS_TO_LOSE = 3
"""Workers that may die in a trial before it is left alone, as too large for the machine, say."""


class SearchInterrupted(Exception):
    """The search was told to stop before any trial had finished."""


class Attempt:
    """A trial under way.

    Attributes:
        number: as in `Trial`.
        recipe: what is trained, for as many epochs as a trial has at most.
    """

    def __init__(self, space: Space, metric: str, number: int, proposal: Proposal) -> None:
        self.number = number
        self.recipe = Recipe(algorithm=space.algorithm, params={**proposal.params, "n_epochs": space.max_epochs})
        self._space, self._metric, self._proposal = space, metric, proposal
        self._curve: list[float] = []
        self._spreads: list[float | None] = []
        self._pruned = False
        self._started = time.monotonic()

    def report(self, value: float, spread: float | None) -> bool:
        """Note the metric after an epoch and its spread over folds; whether another epoch is worth it."""
        self._curve.append(value)
        self._spreads.append(spread)
        epoch, best_epoch = len(self._curve), self._space.objective.best(self._curve) + 1
        if epoch - best_epoch >= self._space.patience:
            return False
        self._pruned = self._proposal.is_poor(value, epoch)
        return not self._pruned and epoch < self._space.max_epochs

    def ended(self, failure: Literal["diverged", "lost"] | None = None) -> Trial:
        """The trial as it is finished."""
        scored = bool(self._curve) and failure is None
        best = self._space.objective.best(self._curve) if scored else 0
        return Trial(
            objective=self._space.objective,
            metric=self._metric,
            algorithm=self.recipe.algorithm,
            number=self.number,
            params=self._proposal.params,
            curve=self._curve,
            value=self._curve[best] if scored else None,
            spread=self._spreads[best] if scored else None,
            outcome=failure or ("pruned" if self._pruned else "complete"),
            seconds=time.monotonic() - self._started,
            rungs=self._proposal.rungs,
        )


class Search:
    """A study under way: hands out attempts, takes them back, and knows when to stop."""

    def __init__(
        self,
        space: Space,
        metric: str,
        config: TuningConfig,
        storage: TrialStorage,
        on_trial: Callable[[Trial], None],
        on_progress: Callable[[int, int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._space, self._metric, self._config, self._storage = space, metric, config, storage
        self._on_trial, self._on_progress, self.is_stopped = on_trial, on_progress, is_stopped
        self._given = space.starts(storage.champion, config.seed)
        if config.sampler == "grid":
            self._given += space.points(self._given, config.seed)
        self._n_planned = n_planned(space, config, storage.champion)
        self._memory = _memory(config)
        self._started = time.monotonic()
        self._told: set[int] = set()
        self._tell(self._finished())

    def is_over(self) -> bool:
        """Whether no trial is to start any more."""
        finished = self._finished()
        if len(finished) == self._n_planned or self.is_stopped():
            return True
        limit = self._config.timeout
        return limit is not None and bool(finished) and time.monotonic() - self._started > limit

    def next(self) -> Attempt | None:
        """Take the first trial that nobody has taken; None if it has to wait for others to finish."""
        with self._storage.claiming():
            finished, running = self._storage.read()
            number = next((n for n in range(self._n_planned) if n not in finished and n not in running), None)
            if number is None:
                return None
            if self._memory is None:
                known, under_way = finished, running
            else:
                seen = range(number - self._memory)
                if any(n not in finished for n in seen):
                    return None
                known = {n: finished[n] for n in seen}
                under_way = running | {n: trial.params for n, trial in finished.items()}
            given = self._given[number] if number < len(self._given) else None
            proposal = propose(number, given, known, under_way, self._space, self._config)
            spans = distributions(self._space)
            inside = self._space.holds(proposal.params, self._config.seed)
            self._storage.claim(number, proposal.params, spans if inside else {})
        return Attempt(self._space, self._metric, number, proposal)

    def finish(self, attempt: Attempt, failure: Literal["diverged", "lost"] | None = None) -> None:
        """Write down how an attempt ended."""
        trial = attempt.ended(failure)
        if self._storage.finish(trial):
            self._tell({trial.number: trial})
        else:
            logger.warning("%s was given to another machine, which had not heard from us", trial.name)

    def lose(self, attempt: Attempt, how: str) -> None:
        """Have a trial run again whose worker died, unless it is not the first to do so."""
        logger.warning("a worker died in trial %s-%03d (%s)", self._space.name, attempt.number, how)
        if self._storage.n_lost(attempt.number) + 1 < _WORKERS_TO_LOSE:
            self._storage.release(attempt.number, lost=True)
        else:
            self.finish(attempt, "lost")

    def drop(self, attempt: Attempt) -> None:
        """Give up an attempt that the search does not wait for; a later one begins with it."""
        self._storage.release(attempt.number)

    def beat(self) -> None:
        """Let other machines know that this one lives."""
        self._storage.beat()

    def result(self) -> Tuned:
        """What was found.

        Raises:
            SearchInterrupted: nothing, since it was told to stop.
            TrainingDiverged: no trial came to an end.
        """
        finished = self._finished()
        self._tell(finished)  # of those that other machines ran, who tell of them themselves if they can
        trials = list(finished.values())
        if not trials:
            raise SearchInterrupted
        if all(trial.value is None for trial in trials):
            raise TrainingDiverged(
                f"all {len(trials)} trials of {self._space.name} diverged, the defaults among them: "
                "are the ratings on the scale that the data set declares?"
                if any(trial.outcome == "diverged" for trial in trials)
                else f"every trial of {self._space.name} took its workers with it: is there memory enough?"
            )
        best = best_of(trials)
        n_epochs = self._space.objective.best(best.curve) + 1
        at_edge = self._space.edges(best.params)
        if n_epochs == self._space.max_epochs:
            at_edge.append("n_epochs")
        assert best.value is not None
        return Tuned(
            objective=self._space.objective,
            metric=self._metric,
            recipe=Recipe(algorithm=self._space.algorithm, params={**best.params, "n_epochs": n_epochs}),
            value=best.value,
            spread=best.spread,
            at_edge=at_edge,
            trials=trials,
            interrupted=self.is_stopped() and len(trials) < self._n_planned,
        )

    def _finished(self) -> dict[int, Trial]:
        """The finished trials of those that are planned; a longer search may have run more."""
        return {number: trial for number, trial in self._storage.read()[0].items() if number < self._n_planned}

    def _tell(self, finished: dict[int, Trial]) -> None:
        """Tell of finished trials, each once."""
        for number, trial in finished.items():
            if number not in self._told:
                self._told.add(number)
                self._on_trial(trial)
        self._on_progress(len(self._finished()), self._n_planned)


def _memory(config: TuningConfig) -> int | None:
    """How many trials before a trial it knows only the hyper-parameters of, so that it need not wait for them.

    One worker alone has seen them all end. With more, or a pruner that others' curves decide, a
    trial must not depend on who was first: it knows how all but the last few ended, waits
    for those, and takes the last few for being under way even where they are not. None: it knows
    what there is, where nothing depends on that, or where machines come and go.
    """
    if config.storage is not None or (config.sampler != "tpe" and config.pruner == "none"):
        return None
    if config.sampler == "tpe":
        return 0 if config.n_workers == 1 else 2 * config.n_workers
    return max(_DELAY, 2 * config.n_workers)
