"""What the tutorials share: a command line, and grids that are searched and shown as a table."""

import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import typer

import mfcore
from mfcore.config import TuningConfig
from mfcore.data.splitting import Split
from mfcore.errors import MfcoreError

__all__ = ["grid_search", "run"]


def run(main: Callable[..., Any]) -> None:
    """Run a tutorial with its arguments from the command line; an error a user can cause is a line on stderr."""
    try:
        typer.run(main)
    except MfcoreError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def grid_search(
    algorithm: str, ratings: mfcore.Ratings, parts: Split, space: dict[str, Any], max_epochs: int
) -> mfcore.Recipe:
    """Train at every point of a grid, print validation RMSE at its best epoch, and give the best point's recipe.

    Args:
        algorithm: its short name.
        ratings: all of them.
        parts: which are train and validation.
        space: hyper-parameters with lists of values, of which the first two span the table, or with one value.
        max_epochs: epochs of a trial at most; it ends after ten that brought nothing.
    """
    config = TuningConfig(
        sampler="grid", pruner="none", max_epochs=max_epochs, patience=10, validation="single", space={algorithm: space}
    )
    tuned = mfcore.tune(algorithm, ratings, parts, config)
    searched = [name for name, values in space.items() if isinstance(values, list)]
    # Trial 0 is the algorithm's defaults.
    rows = [{**{name: trial.params[name] for name in searched}, "rmse": trial.value} for trial in tuned.trials[1:]]
    table = pd.DataFrame(rows).pivot_table("rmse", searched[0], searched[1:2])
    print(f"\n{algorithm}: validation RMSE over the grid\n{table.round(4).to_string()}")
    params = tuned.recipe.params
    print("Best:", ", ".join(f"{name} {params[name]:g}" for name in [*searched, "n_epochs"]))
    for name in tuned.at_edge:
        print(f"The best {name} lies at the edge of the grid: a wider grid may do better.")
    return tuned.recipe
