"""What is tried next and what is given up: Optuna's samplers and pruners, as functions of what a trial knows.

Each trial gets a study of its own in memory, which holds the trials that it may know of and
nothing else. So what it tries, and at which epoch it is given up, depends on the seed, on its
number and on those trials, however many workers there are and whoever is first.
"""

from collections.abc import Mapping

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from mfcore.config import TuningConfig
from mfcore.tuning.space import Choice, Space
from mfcore.tuning.trials import Params, Trial

__all__ = ["Proposal", "distributions", "propose"]

_STARTUP_TRIALS = 8
"""Trials before the sampler models what it saw and the pruner compares: fewer tell too little."""


class Proposal:
    """The hyper-parameters of a trial, and a pruner that compares it with the trials it knows of."""

    def __init__(self, params: Params, trial: optuna.Trial, study: optuna.Study) -> None:
        self.params, self._trial, self._study = params, trial, study

    def is_poor(self, value: float, epoch: int) -> bool:
        """Whether a trial with this value after this epoch, counted from 1, is to be given up."""
        self._trial.report(value, epoch)
        return self._trial.should_prune()

    @property
    def rungs(self) -> dict[str, float]:
        """What Hyperband noted of the trial."""
        noted = self._study.get_trials(deepcopy=False)[-1].system_attrs
        return {key: value for key, value in noted.items() if key.startswith("completed_rung_")}


def propose(
    number: int,
    given: Params | None,
    finished: Mapping[int, Trial],
    running: Mapping[int, Params],
    space: Space,
    config: TuningConfig,
) -> Proposal:
    """Choose the hyper-parameters of the trial `number`, unless they are `given`.

    Args:
        number: from 0.
        given: what it is to try, of the defaults, the champion and the points of a grid.
        finished: the trials it knows how they ended, by number.
        running: hyper-parameters of trials it knows are under way; near them TPE expects little.
        space: what is searched.
        config: sampler, pruner and seed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own_seed = (config.seed * 1_000_003 + number) % 2**32
    sampler: optuna.samplers.BaseSampler = RandomSampler(seed=own_seed)
    if config.sampler == "tpe":
        sampler = TPESampler(seed=own_seed, n_startup_trials=_STARTUP_TRIALS)
    pruner: optuna.pruners.BasePruner = NopPruner()
    if config.pruner == "median":
        pruner = MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=3)
    elif config.pruner == "hyperband":
        pruner = HyperbandPruner(min_resource=1, max_resource=space.max_epochs)
    study = optuna.create_study(study_name=space.name, sampler=sampler, pruner=pruner, direction=space.direction)
    spans = distributions(space)
    for earlier in range(number):
        study.add_trial(_as_known(finished.get(earlier), running.get(earlier), space, spans, config.seed))
    trial = study.ask(None if given else spans)
    return Proposal(given or space.complete(trial.params, config.seed), trial, study)


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space in Optuna's words."""
    by_name: dict[str, BaseDistribution] = {}
    for name, span in space.searched.items():
        if isinstance(span, Choice):
            by_name[name] = CategoricalDistribution(span.values)
        elif space.is_integer(name):
            by_name[name] = IntDistribution(int(span.low), int(span.high), log=span.log)
        else:
            by_name[name] = FloatDistribution(span.low, span.high, log=span.log)
    return by_name


def _as_known(
    ended: Trial | None, under_way: Params | None, space: Space, spans: dict[str, BaseDistribution], seed: int
) -> optuna.trial.FrozenTrial:
    """An earlier trial as the sampler and the pruner see it.

    One that is not known, or whose hyper-parameters lie outside of the space, as the defaults
    may, only keeps its place: samplers can't learn from it.
    """
    params = ended.params if ended else under_way
    if params is None or not space.holds(params, seed):
        return create_trial(state=TrialState.FAIL)
    chosen = {name: params[name] for name in spans}
    if ended is None:
        return create_trial(state=TrialState.RUNNING, params=chosen, distributions=spans)
    complete = ended.outcome == "complete"
    value = ended.value if complete else ended.curve[-1] if ended.curve else None
    return create_trial(
        state=TrialState.COMPLETE if complete else TrialState.PRUNED,
        value=value,
        params=chosen,
        distributions=spans,
        intermediate_values=dict(enumerate(ended.curve, start=1)),
        system_attrs=ended.rungs,
    )
