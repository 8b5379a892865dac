"""A replay's nights as a run in MLflow: a table, curves by night, and a figure."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mfcore.settings import Settings
from mfcore.tracking.canvas import HELD_OUT, MUTED, TRAIN, canvas, save
from mfcore.tracking.runs import Experiment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["log_replay", "replayed"]

_FIGURE, _TABLE = "replay.png", "replay.csv"
_MEASURES = {
    "rmse": ("RMSE of the days after", HELD_OUT),
    "ndcg": ("NDCG of the days after", TRAIN),
    "churn": ("Share of lists that is new", MUTED),
}


def log_replay(settings: Settings, dataset: str, nights: pd.DataFrame, folder: Path) -> None:
    """Log the nights to the store of `settings`, and write the same table and figure into `folder`."""
    nights.to_csv(folder / _TABLE, index=False)
    save(replayed(nights), folder / _FIGURE)
    experiment = Experiment(settings, dataset)
    with experiment.run("replay", tags={"stage": "replay"}) as run_id:
        experiment.log_table(run_id, nights, "replay.json")
        experiment.log_artifact(run_id, folder / _FIGURE, "figures")
        for name in _MEASURES:
            values = nights[name].astype(float).dropna()
            if len(values):
                experiment.log_curve(run_id, f"{name}_by_night", values)
                experiment.log_metrics(run_id, {f"mean_{name}": float(values.mean())})


def replayed(nights: pd.DataFrame) -> "Figure":
    """Errors, lists and churn by night; a line where a head's recipe was replaced.

    Args:
        nights: night (YYYY-MM-DD), rating and ranking (what the gate decided), rmse, ndcg and churn.
    """
    figure, axes = canvas(len(_MEASURES), size=(8, 6.5), sharex=True)
    from matplotlib.dates import AutoDateFormatter, AutoDateLocator, date2num

    days = [float(date2num(datetime.fromisoformat(day))) for day in nights["night"]]  # type: ignore[no-untyped-call]
    heads = {"rmse": ["rating"], "ndcg": ["ranking"], "churn": ["rating", "ranking"]}
    for panel, (name, (title, color)) in zip(axes, _MEASURES.items(), strict=True):
        panel.plot(days, nights[name].astype(float), color=color, marker="o", markersize=3)
        for day in (day for day, some in zip(days, nights[heads[name]].to_numpy(), strict=True) if "promoted" in some):
            panel.axvline(day, color=MUTED, linestyle=":", linewidth=1)
        panel.set(ylabel=name.upper() if name != "churn" else name)
        panel.set_title(title, fontsize=10)
    axes[0].set_title("RMSE of the days after (dotted: the gate promoted a recipe)", fontsize=10)
    places = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes[-1].xaxis.set_major_locator(places)
    axes[-1].xaxis.set_major_formatter(AutoDateFormatter(places))  # type: ignore[no-untyped-call]
    return figure
