"""What all figures share: a canvas without a window, the color of each algorithm, axes that are read at a glance."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfcore.evaluation.curves import CHECKPOINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["HELD_OUT", "MUTED", "TRAIN", "canvas", "color_of", "epoch_axis", "save"]

# Okabe and Ito's palette, which the color-blind can tell apart, too.
TRAIN, HELD_OUT, MUTED = "#0072B2", "#D55E00", "#8c8c8c"
_COLORS = {
    "als": "#0072B2",
    "sgd": "#D55E00",
    "pmf": "#009E73",
    "bpmf": "#CC79A7",
    "knn": "#E69F00",
    "blend": "#56B4E9",
    "ease": "#000000",
}


def color_of(name: str) -> str:
    """The color, in every figure, of an algorithm or of its study or finalist; baselines are grey.

    >>> color_of("als"), color_of("ranking-als"), color_of("global_mean")
    ('#0072B2', '#0072B2', '#8c8c8c')
    """
    return _COLORS.get(name.rpartition("-")[2], MUTED)


def canvas(
    n_rows: int = 1, n_columns: int = 1, size: tuple[float, float] = (7, 4.2), **options: Any
) -> "tuple[Figure, list[Axes]]":
    """A figure that belongs to no window system and no global state, and its axes, row by row.

    Text keeps its place: what would be clipped or overlap makes the axes smaller instead.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.08))
    axes = figure.subplots(n_rows, n_columns, squeeze=False, **options)
    for panel in axes.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, laid out and drawn once: `savefig` does both twice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(str(path))  # type: ignore[no-untyped-call]


def epoch_axis(axes: "Axes", n_epochs: int) -> None:
    """Epochs on a logarithmic axis, marked at the checkpoints."""
    axes.set_xscale("log")
    shown = [epoch for epoch in CHECKPOINTS if epoch <= n_epochs]
    if n_epochs > shown[-1] * 1.3:
        shown.append(n_epochs)
    axes.set_xticks(shown, [str(epoch) for epoch in shown])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.93, max(n_epochs, 2) * 1.08)
    axes.set_xlabel("epoch")
