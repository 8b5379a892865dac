"""Figures of searches, by objective: what was tried, what mattered, and how trials learned."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfcore.metrics.objective import Objective
from mfcore.tracking.canvas import MUTED, canvas, color_of, epoch_axis
from mfcore.tuning import Trial
from mfcore.tuning.importances import importances, is_wide, varied
from mfcore.tuning.trials import best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["by_objective", "figures_of", "history", "learning_curves"]

Trials = Mapping[str, Sequence[Trial]]

_WITHIN = {Objective.RATING: 0.1, Objective.RANKING: 0.6}
"""Share of the best value by which trials may be worse to be told apart; those beyond lie on the edge."""


def figures_of(studies: Iterable[Sequence[Trial]]) -> "dict[str, Figure]":
    """Name → figure, as in `ranking_learning_curves`, of the trials of each study.

    Those that nothing can be shown in are left out.
    """
    figures: dict[str, Figure] = {}
    for objective, scored in by_objective(studies).items():
        figures |= {f"{objective}_{name}": figure for name, figure in _figures_of(scored).items()}
    return figures


def by_objective(studies: Iterable[Sequence[Trial]]) -> dict[Objective, Trials]:
    """The trials that have a value, by what they are after and by algorithm; what has none is left out."""
    scored = [[trial for trial in some if trial.value is not None] for some in studies]
    grouped = {
        objective: {some[0].algorithm: some for some in scored if some and some[0].objective is objective}
        for objective in Objective
    }
    return {objective: own for objective, own in grouped.items() if own}


def _figures_of(scored: Trials) -> "dict[str, Figure]":
    figures = {"optimization_history": history(scored), "learning_curves": learning_curves(scored)}
    shares = {name: importances(some) for name, some in scored.items()}
    shares = {name: share for name, share in shares.items() if share}
    if shares:
        figures["parameter_importances"] = parameter_importances(shares)
    several = {name: some for name, some in scored.items() if len(some) > 1 and varied(some)}
    if several:
        figures["parallel_coordinates"] = parallel_coordinates(several)
    return figures


def history(trials: Trials) -> "Figure":
    """The metric of every trial, and the best so far, by algorithm."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(size=(8, 4.6))
    sight = _Sight.of(trials)
    best_so_far = np.maximum if sight.objective.higher_is_better else np.minimum
    for algorithm, some in trials.items():
        numbers = [trial.number for trial in some]
        values = _values(some)
        shown, visible = sight.shown(values), sight.holds(values)
        color = color_of(algorithm)
        axes.plot(numbers, best_so_far.accumulate(shown), color=color, drawstyle="steps-post", label=algorithm)
        for outcome, face in (("complete", color), ("pruned", "none")):
            chosen = np.array([trial.outcome == outcome for trial in some])
            for inside, marker in ((visible, "o"), (~visible, sight.beyond)):
                points = chosen & inside
                axes.scatter(
                    np.array(numbers)[points], shown[points], s=22, marker=marker, facecolors=face, edgecolors=color
                )
    axes.set(title=f"Trials for {sight.objective} and the best so far", xlabel="trial", ylabel=sight.label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, _ = axes.get_legend_handles_labels()
    handles += [axes.scatter([], [], s=22, facecolors=MUTED, edgecolors=MUTED, label="complete")]
    handles += [axes.scatter([], [], s=22, facecolors="none", edgecolors=MUTED, label="pruned")]
    if not all(sight.holds(_values(some)).all() for some in trials.values()):
        handles += [
            axes.scatter(
                [], [], s=22, marker=sight.beyond, facecolors="none", edgecolors=MUTED, label="worse than shown"
            )
        ]
    figure.legend(handles=handles, frameon=False, loc="outside right upper")
    return figure


def learning_curves(trials: Trials) -> "Figure":
    """The metric after each epoch: all trials of an algorithm, the best one bold."""
    figure, panels = canvas(1, len(trials), size=(max(6, 3.4 * len(trials)), 4.2), sharey=True)
    sight = _Sight.of(trials)
    for axes, (algorithm, some) in zip(panels, trials.items(), strict=True):
        best = best_of(some)
        for trial in some:
            bold: dict[str, Any] = (
                {"linewidth": 2.5, "zorder": 3} if trial is best else {"linewidth": 0.8, "alpha": 0.45}
            )
            line = axes.plot(range(1, len(trial.curve) + 1), trial.curve, color=color_of(algorithm), **bold)
            if len(trial.curve) == 1:
                line[0].set_marker("o")
        epoch_axis(axes, max(len(trial.curve) for trial in some))
        axes.set_title(f"{algorithm}: best {best.value:.4f}\n({best.name})")
    panels[0].set_ylim(*sight.ends)
    panels[0].set_ylabel(sight.label)
    return figure


def parameter_importances(shares: Mapping[str, Mapping[str, float]]) -> "Figure":
    """Share of each hyper-parameter in what tells good trials from others, a panel per algorithm."""
    tallest = max(len(share) for share in shares.values())
    figure, panels = canvas(1, len(shares), size=(max(6, 3.6 * len(shares)), 1.4 + 0.36 * tallest), sharex=True)
    for axes, (algorithm, share) in zip(panels, shares.items(), strict=True):
        names = list(share)[::-1]
        bars = axes.barh(names, [100 * share[name] for name in names], color=color_of(algorithm))
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.set(title=algorithm, xlabel="importance (%)")
        axes.set_xlim(0, 1.15 * 100 * max(max(shares_of.values()) for shares_of in shares.values()))
    return figure


def parallel_coordinates(trials: Trials) -> "Figure":
    """Every trial as a line through its hyper-parameters to its metric, a panel per algorithm.

    Wide ranges are logarithmic; the best trial is bold, and the darker a line the better.
    """
    figure, panels = canvas(len(trials), 1, size=(9.5, 3.1 * len(trials) + 0.3))
    for axes, (algorithm, some) in zip(panels, trials.items(), strict=True):
        _parallel(axes, algorithm, some)
    return figure


def _parallel(axes: "Axes", algorithm: str, trials: Sequence[Trial]) -> None:
    values, sight = _values(trials), _Sight.of({algorithm: trials})
    columns = [(name, *_column([trial.params[name] for trial in trials])) for name in varied(trials)]
    least, most = sorted((sight.best, sight.limit))
    heights = (sight.shown(values) - least) / max(most - least, 1e-12)
    over = "" if sight.holds(values).all() else "≤ " if sight.objective.higher_is_better else "≥ "
    ends = {value: f"{over if value == sight.limit else ''}{value:.4g}" for value in (least, most)}
    columns.append((sight.label, heights, ends[least], ends[most]))
    goodness = np.abs(sight.shown(values) - sight.limit) / max(most - least, 1e-12)
    places = np.array([column[1] for column in columns]).T
    first = sight.objective.best(list(values))
    for rank in np.argsort(goodness, kind="stable"):
        best = rank == first
        axes.plot(
            places[rank],
            color=color_of(algorithm),
            alpha=1.0 if best else 0.15 + 0.5 * goodness[rank],
            linewidth=2.8 if best else 1.1,
        )
    for place, (_, _, low, high) in enumerate(columns):
        axes.axvline(place, color="#444444", linewidth=0.8)
        for height, text, side in ((0, low, "top"), (1, high, "bottom")):
            axes.annotate(
                text, (place, height), (0, -4 if side == "top" else 4), textcoords="offset points", ha="center", va=side
            )
    axes.set_xticks(range(len(columns)), [column[0] for column in columns])
    axes.tick_params(axis="x", length=0, pad=14)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set(xlim=(-0.45, len(columns) - 0.55), ylim=(-0.02, 1.02))
    axes.set_title(f"{algorithm}: {len(trials)} trials, the best one bold", pad=18)


def _column(values: Sequence[float | int | bool | str]) -> tuple[NDArray[np.float64], str, str]:
    """Where on an axis from 0 to 1 values lie, and what its ends are called."""
    if any(isinstance(value, bool | str) for value in values):
        kinds = sorted({str(value) for value in values})
        heights = np.array([kinds.index(str(value)) for value in values]) / (len(kinds) - 1)
        return heights, kinds[0], kinds[-1]
    numbers = np.array([float(value) for value in values])
    scaled = np.log(numbers) if is_wide(list(numbers)) else numbers
    heights = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    return heights, f"{numbers.min():.3g}", f"{numbers.max():.3g}"


def _values(trials: Sequence[Trial]) -> NDArray[np.float64]:
    return np.array([trial.value for trial in trials], np.float64)


@dataclass(frozen=True)
class _Sight:
    """What of a metric is shown: from the best value to a limit, on which all worse ones lie."""

    objective: Objective
    label: str
    best: float
    limit: float

    @classmethod
    def of(cls, trials: Trials) -> "_Sight":
        trial = next(iter(trials.values()))[0]
        values = np.concatenate([_values(some) for some in trials.values()])
        best = float(values[trial.objective.best(list(values))])
        if trial.objective.higher_is_better:
            limit = max(float(values.min()), best * (1 - _WITHIN[trial.objective]))
        else:
            limit = min(float(values.max()), best * (1 + _WITHIN[trial.objective]))
        return cls(trial.objective, trial.metric_name, best, limit)

    @property
    def beyond(self) -> str:
        """The marker of what is worse than the limit."""
        return "v" if self.objective.higher_is_better else "^"

    @property
    def ends(self) -> tuple[float, float]:
        """Of an axis, from below to above."""
        low, high = sorted((self.best, self.limit))
        margin = 0.05 * max(high - low, 1e-3 * abs(high))
        return low - margin, high + margin

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values are no worse than the limit."""
        return values >= self.limit if self.objective.higher_is_better else values <= self.limit

    def shown(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values are drawn."""
        return np.where(self.holds(values), values, self.limit)
