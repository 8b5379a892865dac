"""Figures of finalists, as they are looked at in MLflow."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings, Scale
from mfcore.evaluation.curves import CHECKPOINTS
from mfcore.metrics.objective import Objective
from mfcore.models import Factors
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems
from mfcore.tracking.canvas import HELD_OUT, MUTED, TRAIN, canvas, color_of, epoch_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Tastes",
    "calibration",
    "compared",
    "errors_by_activity",
    "errors_by_rating",
    "learning_curves",
    "popularity",
    "tastes",
]

_GROUPS = 6
"""Groups of users, or items, by their number of ratings."""
_MOST_USERS = 2000
"""Users whose lists are looked at; more would hide each other."""


def learning_curves(train: list[float], validation: list[float], chosen: int) -> "Figure":
    """RMSE on training and validation ratings after every epoch; the checkpoints stand out.

    Args:
        train: after epochs 1, 2, ….
        validation: the same; empty where there was none.
        chosen: epochs that the recipe trains for.
    """
    figure, (axes,) = canvas()
    curves = (("train", train, TRAIN, "o"), ("validation", validation, HELD_OUT, "s"))
    for name, curve, color, marker in curves:
        if curve:
            marked = [epoch - 1 for epoch in CHECKPOINTS if epoch <= len(curve)]
            epochs = range(1, len(curve) + 1)
            axes.plot(epochs, curve, color=color, marker=marker, markevery=marked, markersize=5, label=name)
            if len(curve) <= 100:
                axes.plot(epochs, curve, color=color, marker=".", markersize=2.5, linestyle="none")
    if validation:
        axes.axvline(chosen, color=MUTED, linestyle=":", label=f"chosen: {chosen} epochs")
    epoch_axis(axes, max(len(train), len(validation), 1))
    axes.set(title="Learning curves", ylabel="RMSE")
    axes.legend(frameon=False)
    return figure


def calibration(predicted: NDArray[np.float32], actual: NDArray[np.float32], scale: Scale) -> "Figure":
    """Mean actual rating of predictions in twenty bins; on the diagonal, predictions mean what they say."""
    figure, (axes,) = canvas()
    edges = np.linspace(scale.minimum, scale.maximum, 21)
    bins = np.clip(np.digitize(predicted, edges) - 1, 0, 19)
    counts = np.bincount(bins, minlength=20)
    used = counts > 0
    means = np.bincount(bins, actual, minlength=20)[used] / counts[used]
    centers = np.bincount(bins, predicted, minlength=20)[used] / counts[used]
    ends = [scale.minimum, scale.maximum]
    axes.plot(ends, ends, color=MUTED, linestyle=":", label="what was predicted")
    axes.scatter(centers, means, s=8 + 200 * counts[used] / counts.max(), color=HELD_OUT, alpha=0.8)
    axes.set(xlabel="predicted rating", ylabel="mean actual rating")
    axes.set_title("Calibration on test ratings (a dot's area: how many ratings)")
    axes.legend(frameon=False, loc="upper left")
    return figure


def errors_by_rating(predicted: NDArray[np.float32], actual: NDArray[np.float32], scale: Scale) -> "Figure":
    """Distribution of predicted − actual for low to high actual ratings."""
    figure, (axes,) = canvas()
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
    axes.axhline(0, color=MUTED, linestyle=":")
    axes.boxplot(
        [errors[groups == g] for g in used],
        tick_labels=[labels[g] for g in used],
        showfliers=False,
        widths=0.6,
        medianprops={"color": HELD_OUT, "linewidth": 2},
    )
    axes.set(title="Error by actual rating, on test ratings", xlabel="actual rating", ylabel="predicted − actual")
    return figure


def errors_by_activity(predicted: NDArray[np.float32], test: Ratings, train: Ratings) -> "Figure":
    """RMSE for users with few to many training ratings, and for items with few to many.

    Groups have about as many test ratings each; whiskers are 95 % intervals.
    """
    figure, axes = canvas(1, 2, size=(9, 4.2), sharey=True)
    squared = (predicted.astype(np.float64) - test.values) ** 2
    for panel, codes, known, size, title, whose in (
        (axes[0], test.users, train.users, train.n_users, "Error by activity of the user", "user"),
        (axes[1], test.items, train.items, train.n_items, "Error by popularity of the item", "item"),
    ):
        counts = np.bincount(known, minlength=size)[codes]
        _by_count(panel, counts, squared)
        panel.axhline(np.sqrt(squared.mean()), color=MUTED, linestyle=":", label="all test ratings")
        panel.set(title=title, xlabel=f"training ratings of the {whose}")
    axes[0].set_ylabel("RMSE on test ratings")
    axes[0].legend(frameon=False)
    return figure


def _by_count(axes: "Axes", counts: NDArray[np.intp], squared: NDArray[np.float64]) -> None:
    """RMSE of groups of about equal size, from low to high counts."""
    edges = np.unique(np.quantile(counts, np.linspace(0, 1, _GROUPS + 1), method="inverted_cdf"))
    # The first group keeps its lowest count; all others begin above the edge before them.
    groups = np.maximum(np.searchsorted(edges, counts), 1) - 1 if len(edges) > 1 else np.zeros_like(counts)
    heights, margins, names = [], [], []
    for group in np.unique(groups):
        inside = groups == group
        errors = squared[inside]
        rmse = np.sqrt(errors.mean())
        heights.append(rmse)
        # RMSE is the root of a mean: its deviation is that of the mean over twice the root.
        margins.append(1.96 * errors.std() / np.sqrt(len(errors)) / max(2 * rmse, np.finfo(float).tiny))
        low, high = counts[inside].min(), counts[inside].max()
        names.append(f"{low}" if low == high else f"{low}–{high}")
    axes.errorbar(names, heights, yerr=margins, color=TRAIN, marker="o", linestyle="none", capsize=4)
    axes.margins(x=0.08)
    axes.tick_params(axis="x", labelrotation=30)


class Tastes(NamedTuple):
    """How popular, for each user, what they rate is and what they are shown.

    Popularity is the share of users who rated an item, in percent; of several items, their mean.

    Attributes:
        rated: float64, (n,); of the user's training ratings.
        shown: float64, (n,); of the items on their list.
    """

    rated: NDArray[np.float64]
    shown: NDArray[np.float64]


def tastes(factors: Factors, train: Ratings, k: int) -> Tastes:
    """Of 2,000 users at most, the `k` best items that are not among their training ratings beside these."""
    share = 100 * np.bincount(train.items, minlength=train.n_items) / max(1, train.n_users)
    counts = np.bincount(train.users, minlength=train.n_users)
    users = np.flatnonzero(counts).astype(np.int32)
    if len(users) > _MOST_USERS:
        users = np.sort(np.random.default_rng(0).choice(users, _MOST_USERS, replace=False))
    rated = np.bincount(train.users, share[train.items], minlength=train.n_users)[users] / counts[users]
    items, _ = top_items(factors, users, k, RatedItems.of(train))
    listed = items >= 0
    full = listed.any(axis=1)
    return Tastes(rated[full], np.where(listed, share[items], 0).sum(axis=1)[full] / listed.sum(axis=1)[full])


def popularity(tastes: Tastes, k: int) -> "Figure":
    """How popular the items of a user's list of `k` are, beside those of the profile, a dot per user.

    Above the diagonal are users who are shown more popular items than they rate.
    """
    figure, (axes,) = canvas(size=(6, 5.2))
    axes.scatter(tastes.rated, tastes.shown, s=9, color=HELD_OUT, alpha=0.45, linewidths=0)
    top = 1.05 * max(tastes.rated.max(initial=0), tastes.shown.max(initial=0), 1e-9)
    axes.plot([0, top], [0, top], color=MUTED, linestyle=":", label="as popular as what they rate")
    axes.set(xlim=(0, top), ylim=(0, top))
    axes.set(title=f"Popularity of the {k} recommended items, a dot per user")
    axes.set(
        xlabel="profile: mean share of users who rated the item (%)",
        ylabel="list: mean share of users who rated the item (%)",
    )
    axes.legend(frameon=False, loc="upper left")
    return figure


def compared(table: pd.DataFrame, metrics: Mapping[str, str]) -> "Figure":
    """One bar per model and objective, best on top, with intervals where the table has columns for them.

    Args:
        table: a row per model: model, role, for, and the metrics.
        metrics: objective → its metric, each a panel.
    """
    figure, panels = canvas(1, len(metrics), size=(1.5 + 5.5 * len(metrics), 1.2 + 0.3 * max(8, len(table))))
    for axes, (objective, metric) in zip(panels, metrics.items(), strict=True):
        _bars(axes, table, Objective(objective), metric)
    figure.suptitle("Models on the same test ratings\n(hatched: baselines; pale: made for the other objective)")
    return figure


def _bars(axes: "Axes", table: pd.DataFrame, objective: Objective, metric: str) -> None:
    rows = table.dropna(subset=[metric]).sort_values(metric, ascending=objective.higher_is_better)
    intervals: dict[str, Any] = {}
    low, high = rows[metric], rows[metric]
    if f"{metric}_low" in rows:
        low, high = rows[f"{metric}_low"].fillna(low), rows[f"{metric}_high"].fillna(high)
        intervals = {"xerr": [rows[metric] - low, high - rows[metric]], "capsize": 3}
    hatches = ["//" if role == "baseline" else "" for role in rows["role"]]
    colors = [color_of(name) for name in rows["model"]]
    bars = axes.barh(rows["model"], rows[metric], color=colors, hatch=hatches, **intervals)
    for bar, made_for in zip(bars, rows["for"], strict=True):
        bar.set_edgecolor("white")
        bar.set_alpha(1.0 if objective in made_for.split(" and ") else 0.35)
    span = max(high.max() - low.min(), 1e-3) if len(rows) else 1.0
    for place, (value, end) in enumerate(zip(rows[metric], high, strict=True)):
        axes.text(end + 0.02 * span, place, f"{value:.4f}", va="center")
    if len(rows):
        axes.set_xlim(max(0.0, low.min() - 0.4 * span), high.max() + 0.25 * span)
    direction = "higher" if objective.higher_is_better else "lower"
    axes.set(title=f"{objective}: {metric}, {direction} is better", xlabel=metric)
