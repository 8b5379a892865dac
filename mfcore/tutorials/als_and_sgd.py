"""Explicit factorization by ALS and by SGD on MovieLens 100K: learning curves, grids, nearest films, an ensemble.

Ten ratings of each user are test and ten validation. Only observed ratings count. Curves go on training where the
checkpoint before ended. The grids are those of the tutorial, but searched on validation ratings instead of test ones.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import mfcore
from mfcore.config import SplitConfig
from mfcore.evaluation.curves import CHECKPOINTS
from mfcore.metrics import rmse
from mfcore.models import Recommender
from mfcore.tracking.canvas import HELD_OUT, TRAIN, canvas, epoch_axis, save
from mfcore.tutorials._common import grid_search, run

__all__ = ["main"]

TIED = {name: {"same_as": "reg_user"} for name in ("reg_item", "reg_user_bias", "reg_item_bias")}


def learning_curve(model: Recommender, train: mfcore.Ratings, test: mfcore.Ratings, n_epochs: int) -> pd.DataFrame:
    """Mean squared errors at the checkpoints of one fit."""
    training, errors = model.begin(train), {}
    for epoch in range(1, n_epochs + 1):
        training.step()
        if epoch in CHECKPOINTS:
            factors = training.factors()
            errors[epoch] = [rmse(factors.predict(part.users, part.items), part.values) ** 2 for part in (train, test)]
    return pd.DataFrame(errors, index=["train", "test"]).T


def main(dataset: str = "ml-100k", max_epochs: int = 200, figure: Path | None = None) -> pd.DataFrame:
    """Print curves, grids, nearest items and the final table; draw the curves into a PNG file if one is named."""
    ratings = mfcore.load(dataset)
    parts = mfcore.split(ratings, SplitConfig(method="leave-k-out", leave_k=10))
    known, test = ratings.take(parts.known), ratings.take(parts.test)
    print(f"{len(known):,} ratings to train on, {len(test):,} to test on")

    sizes, n_epochs = {"n_factors": [5, 10, 20, 40, 80], **TIED}, min(100, max_epochs)
    space = {**sizes, "reg_user": [0.1, 1.0, 10.0, 100.0], "reg_exponent": 0.0}
    als = grid_search("als", ratings, parts, space, n_epochs)
    space = {**TIED, "learning_rate": [1e-5, 1e-4, 1e-3, 1e-2], "n_factors": [40], "reg_user": 0.0, "decay": 1.0}
    rate = grid_search("sgd", ratings, parts, space, max_epochs).params["learning_rate"]
    space = {**sizes, "reg_user": [0.001, 0.01, 0.1, 1.0], "learning_rate": rate, "decay": 1.0}
    sgd = grid_search("sgd", ratings, parts, space, n_epochs)

    models = {
        "ALS, free": mfcore.ALS(n_factors=40, reg_exponent=0, reg_user=0.001, reg_item=0.001),
        "ALS, best": als.build(),
        "SGD, free": mfcore.SGD(n_factors=40, learning_rate=0.001, decay=1, init_scale=1 / 40, reg_user=0, reg_item=0),
        "SGD, best": sgd.build(),
    }
    curves = {name: learning_curve(model, known, test, max_epochs) for name, model in models.items()}
    print("\nMean squared error by epoch\n" + pd.concat(curves, axis=1).round(3).to_string())
    if figure is not None:
        drawing, panels = canvas(2, 2, (10, 7), sharey=True)
        for axes, (name, curve) in zip(panels, curves.items(), strict=True):
            for part, color in (("train", TRAIN), ("test", HELD_OUT)):
                axes.plot(curve.index, curve[part], color=color, marker="o", label=part)
            epoch_axis(axes, max_epochs)
            axes.set(title=name, ylabel="mean squared error")
        panels[0].legend(frameon=False)
        save(drawing, figure)

    fitted = {"ALS": als.build().fit(known), "SGD": sgd.build().fit(known)}
    for item in known.item_ids[np.argsort(-np.bincount(known.items), kind="stable")[:5]]:
        nearest = pd.DataFrame({name: model.similar(item, 5)["title"] for name, model in fitted.items()})
        print(f"\nNearest to {fitted['ALS'].title(item)}\n{nearest.to_string(index=False)}")

    ensemble = mfcore.Blend(members=(als.build(), sgd.build()))
    table = mfcore.evaluate({"ALS": als, "SGD": sgd, "ensemble": ensemble}, ratings, parts)
    table["test_mse"] = table["test_rmse"] ** 2
    print("\n" + table.filter(regex="model|mse|rmse|mae|seconds").round(4).to_string(index=False))
    return table


if __name__ == "__main__":
    run(main)
