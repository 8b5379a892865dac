"""`Space`: what is searched of an algorithm, its own ranges changed by the configuration."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from pydantic import ValidationError

from mfcore.config import OBJECTIVES, TUNABLE, ObjectiveName, SearchRange, TuningConfig, Value
from mfcore.data.ratings import Scale
from mfcore.errors import UsageError, nearest
from mfcore.metrics.objective import Objective
from mfcore.models import MODELS, Range, Recommender
from mfcore.tuning.trials import Params

__all__ = ["Choice", "Direction", "Space", "n_planned", "search_space", "search_spaces"]

Direction = Literal["minimize", "maximize"]

_DEFAULT_TRIALS, _DEFAULT_EPOCHS, _DEFAULT_PATIENCE = 20, 40, 3


@dataclass(frozen=True)
class Choice:
    """The values that a hyper-parameter is chosen from."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """What a study searches of an algorithm.

    Attributes:
        objective: what for.
        defaults: hyper-parameters that the objective's defaults change.
        searched: hyper-parameter → where it is searched.
        fixed: hyper-parameter → its value in all trials.
        tied: hyper-parameter → the other one that it is equal to.
        max_epochs: epochs of a trial at most.
        patience: epochs without a better figure that end it.
    """

    objective: Objective
    algorithm: str
    defaults: dict[str, Value]
    searched: dict[str, Range | Choice]
    fixed: dict[str, Value]
    tied: dict[str, str]
    max_epochs: int
    patience: int

    @property
    def name(self) -> str:
        """The study's name, as in `ranking-als`."""
        return f"{self.objective}-{self.algorithm}"

    @property
    def direction(self) -> Direction:
        """Where Optuna is to go."""
        return "maximize" if self.objective.higher_is_better else "minimize"

    @property
    def model(self) -> type[Recommender]:
        """The class of the algorithm."""
        return MODELS[self.algorithm]

    def is_integer(self, name: str) -> bool:
        """Whether a hyper-parameter is a whole number."""
        return self.model.model_fields[name].annotation is int

    def complete(self, params: Params, seed: int) -> Params:
        """All hyper-parameters of a trial, `params` being those that were chosen."""
        settled: dict[str, Any] = {**self.defaults, "seed": seed, **params, **self.fixed}
        defaults = self.model.model_validate(self.defaults)
        settled |= {name: settled.get(other, getattr(defaults, other)) for name, other in self.tied.items()}
        return self.model(**settled).model_dump(exclude={"n_epochs"})

    def starts(self, champion: Params | None, seed: int) -> list[Params]:
        """The first trials: the defaults and, where it is another, the champion's recipe."""
        starts = [self.complete({}, seed)]
        if champion is not None:
            second = self.complete({name: value for name, value in champion.items() if name != "n_epochs"}, seed)
            starts += [second] if second != starts[0] else []
        return starts

    def points(self, starts: list[Params], seed: int) -> list[Params]:
        """The points of the grid, the first list varying slowest; those that the `starts` try anyway are left out."""
        lists = [span.values for span in self.searched.values() if isinstance(span, Choice)]
        points = [self.complete(dict(zip(self.searched, point, strict=True)), seed) for point in product(*lists)]
        return [point for point in points if point not in starts]

    def holds(self, params: Params, seed: int) -> bool:
        """Whether a sampler that knows this space could have chosen `params`."""
        chosen = {name: params[name] for name in self.searched}
        inside = all(_holds(span, params[name]) for name, span in self.searched.items())
        return inside and self.complete(chosen, seed) == {**params, "seed": seed}

    def edges(self, params: Params) -> list[str]:
        """Searched hyper-parameters whose value lies at the edge of what is searched."""
        return [name for name, span in self.searched.items() if _at_edge(span, params[name])]


_ANY_SCALE = Scale(0, 1)
"""On which ranges in the unit of ratings keep their own numbers: enough to refuse what can't be."""


def search_spaces(config: TuningConfig, scale: Scale = _ANY_SCALE) -> dict[str, Space]:
    """The space of each study, by name, for ratings on `scale`.

    Raises:
        UsageError: a hyper-parameter or a value that an algorithm can't have, a grid without lists, or an algorithm
            that needs what is not installed.
    """
    for objective in OBJECTIVES:  # those that are not tuned today are not to surprise on another day
        for algorithm in TUNABLE[objective]:
            _read(objective, algorithm, config, scale)
    spaces = [search_space(objective, algorithm, config, scale) for objective, algorithm in config.studies]
    for space in spaces:
        space.model.require()
    return {space.name: space for space in spaces}


def search_space(objective: ObjectiveName, algorithm: str, config: TuningConfig, scale: Scale = _ANY_SCALE) -> Space:
    """The space of one study, for ratings on `scale`.

    Raises:
        UsageError: a hyper-parameter or a value that it can't have, or a grid without lists.

    >>> config = TuningConfig(space={"als": {"n_factors": [8, 16], "reg_item": {"same_as": "reg_user"}}})
    >>> search_space("rating", "als", config).searched["n_factors"]
    Choice(values=(8, 16))
    """
    space = _read(objective, algorithm, config, scale)
    if config.sampler != "grid":
        if not space.searched:
            raise UsageError(f"{space.name} has nothing left to search: all its hyper-parameters are fixed.")
        return space
    given = {name: space.searched[name] for name in _entries(objective, algorithm, config) if name in space.searched}
    for name, span in given.items():
        if isinstance(span, Range):
            raise UsageError(f"sampler grid: {algorithm}.{name} is a range without end of values; give it a list.")
    if not given:
        raise UsageError(f"sampler grid: no list of values in [tuning.space.{algorithm}].")
    return replace(space, searched=given)


def n_planned(space: Space, config: TuningConfig, champion: Params | None) -> int:
    """How many trials a study has."""
    if config.sampler != "grid":
        return config.n_trials or _DEFAULT_TRIALS
    starts = space.starts(champion, config.seed)
    whole = len(starts) + len(space.points(starts, config.seed))
    return min(whole, config.n_trials or whole)


def _entries(objective: ObjectiveName, algorithm: str, config: TuningConfig) -> dict[str, Any]:
    """What the configuration says of a study: of the algorithm, and before that of the objective's own."""
    return {**config.space.get(algorithm, {}), **config.space.get(f"{objective}-{algorithm}", {})}


def _read(objective: ObjectiveName, algorithm: str, config: TuningConfig, scale: Scale) -> Space:
    model = MODELS[algorithm]
    own_space, defaults = model.for_ranking(scale) if objective == "ranking" else (model.space, {})
    searched: dict[str, Range | Choice] = dict(own_space)
    fixed: dict[str, Value] = {}
    tied: dict[str, str] = {}
    known = [name for name in model.model_fields if name not in ("n_epochs", "seed")]
    for name, entry in _entries(objective, algorithm, config).items():
        _refuse_unknown(algorithm, name, known)
        own = searched.pop(name, None)
        if isinstance(entry, list):
            searched[name] = Choice(tuple(_checked(model, name, value) for value in entry))
        elif not isinstance(entry, SearchRange):
            fixed[name] = _checked(model, name, entry)
        elif entry.same_as is not None:
            _refuse_unknown(algorithm, entry.same_as, known)
            tied[name] = entry.same_as
        else:
            searched[name] = _range(model, name, entry, own)
    for name, other in tied.items():
        if other in tied:
            raise UsageError(f"{algorithm}.{name} is the same as {other}, which is the same as {tied[other]} itself.")
    return Space(
        Objective(objective),
        algorithm,
        {name: value for name, value in defaults.items() if name != "n_epochs"},
        searched,
        fixed,
        tied,
        max_epochs=config.max_epochs or model.max_epochs or _DEFAULT_EPOCHS,
        patience=config.patience or model.patience or _DEFAULT_PATIENCE,
    )


def _range(model: type[Recommender], name: str, entry: SearchRange, own: Any) -> Range:
    assert entry.low is not None and entry.high is not None
    if model.model_fields[name].annotation not in (int, float):
        raise UsageError(f"{model.algorithm}.{name} is no number to search between low and high; give it a list.")
    for end in (entry.low, entry.high):
        _checked(model, name, end)
    log = entry.log if entry.log is not None else isinstance(own, Range) and own.log and entry.low > 0
    return Range(entry.low, entry.high, log)


def _refuse_unknown(algorithm: str, name: str, known: list[str]) -> None:
    if name == "n_epochs":
        raise UsageError(f"{algorithm}.n_epochs is not searched: the best epoch counts. Set tuning.max_epochs.")
    if name not in known:
        raise UsageError(
            f"{algorithm} has no hyper-parameter {name!r}{nearest(name, known)}; it has {', '.join(known)}."
        )


def _checked(model: type[Recommender], name: str, value: Value) -> Value:
    """The value as the model takes it, 5 for 5.0 where it counts."""
    try:
        taken: Value = getattr(model.model_validate({name: value}), name)
    except ValidationError as error:
        raise UsageError(f"{model.algorithm}.{name} = {value!r}: {error.errors()[0]['msg']}.") from error
    return taken


def _holds(span: Range | Choice, value: Value) -> bool:
    if isinstance(span, Choice):
        return value in span.values
    return not isinstance(value, str) and span.low <= value <= span.high


def _at_edge(span: Range | Choice, value: Value) -> bool:
    """Whether `value` lies in the outer 2 % of its range, or is no less extreme than three numbers or more."""
    if isinstance(span, Choice):
        numbers = [value for value in span.values if not isinstance(value, str | bool)]
        if len(numbers) < 3 or isinstance(value, str | bool):
            return False
        return not min(numbers) < value < max(numbers)
    if not _holds(span, value):
        return True
    scale: Callable[[float], float] = math.log if span.log else float
    low, high = scale(span.low), scale(span.high)
    return not 0.02 <= (scale(float(value)) - low) / (high - low) <= 0.98
