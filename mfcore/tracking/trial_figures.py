"""Figures of a search: what was tried, what mattered, and how trials learned."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mfcore.tracking.canvas import MUTED, canvas, color_of, epoch_axis
from mfcore.tuning import Trial
from mfcore.tuning.importances import importances, is_wide, varied

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["figures_of"]

Trials = Mapping[str, Sequence[Trial]]

_WITHIN = 0.1
"""Share above the best RMSE up to which trials are told apart; worse ones lie on the upper edge."""


def figures_of(trials: Trials) -> "dict[str, Figure]":
    """Name → figure, of the trials of each algorithm; those that nothing can be shown in are left out."""
    scored = {name: [one for one in some if one.validation_rmse is not None] for name, some in trials.items()}
    scored = {name: some for name, some in scored.items() if some}
    if not scored:
        return {}
    found = {"optimization_history": history(scored), "learning_curves": learning_curves(scored)}
    shares = {name: importances(some) for name, some in scored.items()}
    shares = {name: share for name, share in shares.items() if share}
    if shares:
        found["parameter_importances"] = parameter_importances(shares)
    several = {name: some for name, some in scored.items() if len(some) > 1 and varied(some)}
    if several:
        found["parallel_coordinates"] = parallel_coordinates(several)
    return found


def history(trials: Trials) -> "Figure":
    """Validation RMSE of every trial, and the best so far, by algorithm."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(size=(8, 4.6))
    ceiling = _ceiling(trials)
    for algorithm, some in trials.items():
        numbers = [trial.number for trial in some]
        values = _rmse(some)
        shown = np.minimum(values, ceiling)
        color = color_of(algorithm)
        axes.plot(numbers, np.minimum.accumulate(shown), color=color, drawstyle="steps-post", label=algorithm)
        for outcome, face in (("complete", color), ("pruned", "none")):
            chosen = np.array([trial.outcome == outcome for trial in some])
            for inside, marker in ((values <= ceiling, "o"), (values > ceiling, "^")):
                points = chosen & inside
                axes.scatter(
                    np.array(numbers)[points], shown[points], s=22, marker=marker, facecolors=face, edgecolors=color
                )
    axes.set(title="Trials and the best so far", xlabel="trial", ylabel="validation RMSE")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, _ = axes.get_legend_handles_labels()
    handles += [axes.scatter([], [], s=22, facecolors=MUTED, edgecolors=MUTED, label="complete")]
    handles += [axes.scatter([], [], s=22, facecolors="none", edgecolors=MUTED, label="pruned")]
    if any((_rmse(some) > ceiling).any() for some in trials.values()):
        handles += [
            axes.scatter([], [], s=22, marker="^", facecolors="none", edgecolors=MUTED, label="worse than shown")
        ]
    figure.legend(handles=handles, frameon=False, loc="outside right upper")
    return figure


def learning_curves(trials: Trials) -> "Figure":
    """Validation RMSE after each epoch: all trials of an algorithm, the best one bold."""
    figure, panels = canvas(1, len(trials), size=(max(6, 3.4 * len(trials)), 4.2), sharey=True)
    ceiling = _ceiling(trials)
    for axes, (algorithm, some) in zip(panels, trials.items(), strict=True):
        best = min(some, key=_key)
        for trial in some:
            bold: dict[str, Any] = (
                {"linewidth": 2.5, "zorder": 3} if trial is best else {"linewidth": 0.8, "alpha": 0.45}
            )
            line = axes.plot(range(1, len(trial.curve) + 1), trial.curve, color=color_of(algorithm), **bold)
            if len(trial.curve) == 1:
                line[0].set_marker("o")
        epoch_axis(axes, max(len(trial.curve) for trial in some))
        axes.set_title(f"{algorithm}: best {_key(best)[0]:.4f} ({best.name})")
    low = min(_rmse(some).min() for some in trials.values())
    panels[0].set_ylim(low - 0.05 * (ceiling - low), ceiling)
    panels[0].set_ylabel("validation RMSE")
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
        axes.set_xlim(0, 1.15 * 100 * max(max(one.values()) for one in shares.values()))
    return figure


def parallel_coordinates(trials: Trials) -> "Figure":
    """Every trial as a line through its hyper-parameters to its validation RMSE, a panel per algorithm.

    Wide ranges are logarithmic; the best trial is bold, and the darker a line the better.
    """
    figure, panels = canvas(len(trials), 1, size=(9.5, 3.1 * len(trials) + 0.3))
    for axes, (algorithm, some) in zip(panels, trials.items(), strict=True):
        _parallel(axes, algorithm, some)
    return figure


def _parallel(axes: "Axes", algorithm: str, trials: Sequence[Trial]) -> None:
    values = _rmse(trials)
    ceiling = min(values.max(), values.min() * (1 + _WITHIN))
    columns = [(name, *_column([trial.params[name] for trial in trials])) for name in varied(trials)]
    span = max(ceiling - values.min(), 1e-12)
    rmse = np.minimum((values - values.min()) / span, 1)
    over = "≥ " if values.max() > ceiling else ""
    columns.append(("validation RMSE", rmse, f"{values.min():.4g}", f"{over}{ceiling:.4g}"))
    places = np.array([column[1] for column in columns]).T
    for rank in np.argsort(-values):
        best = rank == np.argmin(values)
        axes.plot(
            places[rank],
            color=color_of(algorithm),
            alpha=1.0 if best else 0.15 + 0.5 * (1 - rmse[rank]),
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


def _rmse(trials: Sequence[Trial]) -> NDArray[np.float64]:
    return np.array([_key(trial)[0] for trial in trials])


def _key(trial: Trial) -> tuple[float, int]:
    assert trial.validation_rmse is not None
    return trial.validation_rmse, trial.number


def _ceiling(trials: Trials) -> float:
    """The largest RMSE that is shown where it is."""
    values = np.concatenate([_rmse(some) for some in trials.values()])
    return float(min(values.max() * 1.001, values.min() * (1 + _WITHIN)))
