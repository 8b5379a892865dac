"""Figures of finalists, as they are looked at in MLflow."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["calibration", "compared", "errors_by_rating", "learning_curves"]

_TRAIN, _HELD_OUT, _MUTED = "#5b7f95", "#c8553d", "#b9b9b9"


def learning_curves(train: list[float], validation: list[float], chosen: int) -> "Figure":
    """Training and validation RMSE of one fit by epoch, and the number of epochs of the recipe."""
    figure, axes = _new("Learning curve", "epoch", "RMSE")
    axes.plot(range(1, len(train) + 1), train, color=_TRAIN, label="train")
    axes.plot(range(1, len(validation) + 1), validation, color=_HELD_OUT, label="validation")
    axes.axvline(chosen, color=_MUTED, linestyle=":", label=f"chosen: {chosen} epochs")
    axes.set_xscale("log")
    axes.legend(frameon=False)
    return figure


def calibration(predicted: NDArray[np.float32], actual: NDArray[np.float32], scale: Scale) -> "Figure":
    """Mean actual rating of predictions in twenty bins; on the diagonal, predictions mean what they say."""
    figure, axes = _new("Calibration on test", "predicted rating", "mean actual rating")
    edges = np.linspace(scale.minimum, scale.maximum, 21)
    bins = np.clip(np.digitize(predicted, edges) - 1, 0, 19)
    counts = np.bincount(bins, minlength=20)
    used = counts > 0
    means = np.bincount(bins, actual, minlength=20)[used] / counts[used]
    centres = np.bincount(bins, predicted, minlength=20)[used] / counts[used]
    axes.plot([scale.minimum, scale.maximum], [scale.minimum, scale.maximum], color=_MUTED, linestyle=":")
    axes.scatter(centres, means, s=8 + 200 * counts[used] / counts.max(), color=_HELD_OUT, alpha=0.8)
    axes.set_title("Calibration on test (size: number of ratings)")
    return figure


def errors_by_rating(predicted: NDArray[np.float32], actual: NDArray[np.float32], scale: Scale) -> "Figure":
    """Distribution of predicted − actual for low to high actual ratings."""
    figure, axes = _new("Error by actual rating (test)", "actual rating", "predicted − actual")
    values = np.unique(actual)
    if len(values) > 11:
        edges = np.linspace(scale.minimum, scale.maximum, 9)
        groups = np.clip(np.digitize(actual, edges) - 1, 0, 7)
        labels = [f"{low:.3g}…{high:.3g}" for low, high in pairwise(edges)]
    else:
        groups = np.searchsorted(values, actual)
        labels = [f"{value:g}" for value in values]
    errors = predicted - actual
    used = [g for g in range(len(labels)) if (groups == g).any()]
    axes.boxplot(
        [errors[groups == g] for g in used], tick_labels=[labels[g] for g in used], showfliers=False, widths=0.6
    )
    axes.axhline(0, color=_MUTED, linestyle=":")
    return figure


def compared(table: pd.DataFrame, metric: str = "test_rmse") -> "Figure":
    """One bar a model, best on top."""
    rows = table.dropna(subset=[metric]).sort_values(metric, ascending=False)
    figure, axes = _new("Models on the same test ratings", metric, "")
    colours = [_MUTED if role == "baseline" else _TRAIN for role in rows["role"]]
    bars = axes.barh(rows["model"], rows[metric], color=colours)
    axes.bar_label(bars, fmt="%.4f", padding=3)
    low, high = rows[metric].min(), rows[metric].max()
    span = max(high - low, 1e-3)
    axes.set_xlim(low - 0.5 * span, high + 0.4 * span)
    return figure


def _new(title: str, x: str, y: str) -> "tuple[Figure, Axes]":
    """A figure that belongs to no window system and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
