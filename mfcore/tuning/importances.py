"""Which hyper-parameters mattered in a search."""

from collections.abc import Sequence

from mfcore.tuning.trials import Trial

__all__ = ["importances", "is_wide", "varied"]

_LEAST_TRIALS = 4
_WIDE = 20
"""Largest over least value from which orders of magnitude count."""


def varied(trials: Sequence[Trial]) -> list[str]:
    """The hyper-parameters that the trials differ in: those that were searched."""
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    every = [name for name in names if all(name in trial.params for trial in trials)]
    return [name for name in every if len({trial.params[name] for trial in trials}) > 1]


def is_wide(values: Sequence[float]) -> bool:
    """Whether values are best looked at by their logarithms.

    >>> is_wide([0.01, 1.0]), is_wide([0.0, 1.0])
    (True, False)
    """
    return min(values) > 0 and max(values) / min(values) >= _WIDE


def importances(trials: Sequence[Trial]) -> dict[str, float]:
    """Shares of the hyper-parameters in what tells good trials of a study from others, the largest first.

    PED-ANOVA (Watanabe, Bansal and Hutter, 2023): how far the values of the best tenth of the
    trials are spread otherwise than those of all. Of twenty trials that is a hint, no
    measurement. Trials that diverged are left out, pruned ones count with the best they reached.

    Returns:
        Name → share; the shares add up to 1. Empty where fewer than four trials came to
        something or nothing varied.

    >>> def trial(number: int, reg: float) -> Trial:
    ...     params = {"reg": reg, "seed": 0}
    ...     return Trial(objective="rating", metric="rmse", algorithm="als", number=number, params=params, curve=[reg],
    ...                  value=reg, outcome="complete", seconds=1)
    >>> importances([trial(number, 0.1 + number) for number in range(5)])
    {'reg': 1.0}
    """
    from optuna import create_study, logging
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.importance import get_param_importances
    from optuna.trial import create_trial

    scored = [trial for trial in trials if trial.value is not None]
    searched = varied(scored)
    if len(scored) < _LEAST_TRIALS or not searched:
        return {}
    distributions: dict[str, BaseDistribution] = {}
    for name in searched:
        values = [trial.params[name] for trial in scored]
        if any(isinstance(value, bool | str) for value in values):
            distributions[name] = CategoricalDistribution(tuple(dict.fromkeys(values)))
            continue
        numbers = [float(value) for value in values]
        log = is_wide(numbers)
        if all(isinstance(value, int) for value in values):
            distributions[name] = IntDistribution(int(min(numbers)), int(max(numbers)), log=log)
        else:
            distributions[name] = FloatDistribution(min(numbers), max(numbers), log=log)
    logging.set_verbosity(logging.WARNING)
    study = create_study(direction="maximize" if scored[0].objective.higher_is_better else "minimize")
    study.add_trials(
        create_trial(
            params={name: trial.params[name] for name in searched},
            distributions=distributions,
            value=trial.value,
        )
        for trial in scored
    )
    return get_param_importances(study)
