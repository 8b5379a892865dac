"""Probabilistic matrix factorization as on MovieLens 10M: 85 % of ratings to train on, 15 % held out, 30 factors.

    python -m mfcore.tutorials.probabilistic --dataset ml-10m

Ratings are standardized. Fixed priors with λ = 20, as in the tutorial, stand beside priors that start from λ = 5 and
are estimated along the way, and these beside the logistic link, which training and prediction share. (Behind the link,
priors that start from 20 shrink until biases are all that is left.) Then come the held-out films that a random user
liked, and the films recommended to them.
"""

import numpy as np
import pandas as pd

import mfcore
from mfcore.config import SplitConfig
from mfcore.data import load_snapshot
from mfcore.metrics import rmse
from mfcore.models import GlobalMean, Training
from mfcore.tutorials._common import run

__all__ = ["main"]


def main(dataset: str = "ml-100k", n_epochs: int = 20, seed: int = 0) -> pd.DataFrame:
    """Print RMSE by epoch, and a random user's liked held-out films and recommendations."""
    snapshot = load_snapshot(dataset)
    ratings, n_factors = snapshot.ratings, 30
    parts = mfcore.split(ratings, SplitConfig(test=0.15, validation=0.05, seed=seed))
    train, held_out = ratings.take(parts.known), ratings.take(parts.test)
    mean, deviation = train.values.mean(dtype=float), train.values.std(dtype=float)
    print(f"{len(train):,} ratings to train on, mean {mean:.2f}, standard deviation {deviation:.2f}")
    print(f"{len(held_out):,} held out; RMSE of the mean alone {error(GlobalMean().train(train), held_out):.4f}")

    fixed = mfcore.PMF(n_factors=n_factors, n_epochs=n_epochs, reg_user=20, reg_item=20, priors="fixed", seed=seed)
    adaptive = {"priors": "diagonal", "reg_user": 5.0, "reg_item": 5.0}
    models = {
        "fixed priors": fixed,
        "adaptive priors": fixed.model_copy(update=adaptive),
        "adaptive, logistic": fixed.model_copy(update={**adaptive, "link": "logistic"}),
    }
    errors: dict[tuple[str, str], list[float]] = {}
    for name, recommender in models.items():
        curves: list[tuple[float, float]] = []

        def note(training: Training, curves: list[tuple[float, float]] = curves) -> None:
            curves.append((error(training.factors(), train), error(training.factors(), held_out)))

        factors = recommender.train(train, note)
        errors[name, "train"], errors[name, "held out"] = map(list, zip(*curves, strict=True))
    table = pd.DataFrame(errors, index=pd.RangeIndex(1, n_epochs + 1, name="epoch"))
    print("\nRMSE by epoch\n" + table.round(4).to_string())

    model = mfcore.Model.of(factors, train, snapshot.items)
    liked = held_out.take(np.flatnonzero(held_out.values >= ratings.scale.minimum + 0.75 * ratings.scale.width))
    user = np.random.default_rng(seed).choice(np.unique(liked.users))
    theirs = liked.take(np.flatnonzero(liked.users == user)).to_frame()
    theirs["title"] = [model.title(item) for item in theirs["item_id"]]
    theirs["predicted"] = model.predict(theirs["user_id"], theirs["item_id"])
    print(f"\nHeld-out films that user {ratings.user_ids[user]} liked")
    print(theirs[["title", "rating", "predicted"]].round(2).to_string(index=False))
    best = model.recommend(ratings.user_ids[user], 10)[["item_id", "title", "predicted_rating"]]
    if snapshot.items is not None and "genres" in snapshot.items:
        genres = snapshot.items.set_index("item_id")["genres"]
        best["genres"] = genres.reindex(best["item_id"]).to_numpy()
    print("\nRecommended to them\n" + best.round(2).to_string(index=False))
    return table


def error(factors: mfcore.Factors, ratings: mfcore.Ratings) -> float:
    """RMSE of predictions."""
    return rmse(factors.predict(ratings.users, ratings.items), ratings.values)


if __name__ == "__main__":
    run(main)
