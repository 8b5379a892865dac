"""Accuracy over folds: this project's models, and the peers that are installed, on the same folds."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mfcore.bench.peers import Predict, installed, prepare
from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.metrics import rmse
from mfcore.models import Recipe

__all__ = ["RECIPES", "accuracy"]

RECIPES = {
    "als": Recipe(
        algorithm="als",
        params={
            "n_factors": 119,
            "n_epochs": 5,
            "reg_exponent": 0.491,
            "reg_user": 0.393,
            "reg_item": 2.09,
            "reg_user_bias": 0.423,
            "reg_item_bias": 0.648,
        },
    ),
    "sgd": Recipe(
        algorithm="sgd",
        params={
            "n_factors": 92,
            "n_epochs": 14,
            "learning_rate": 0.0674,
            "decay": 0.84,
            "reg_user": 0.0571,
            "reg_item": 0.0235,
            "reg_user_bias": 0.00184,
            "reg_item_bias": 0.00214,
        },
    ),
    "pmf, fixed priors": Recipe(
        algorithm="pmf",
        params={"priors": "fixed", "n_factors": 64, "reg_user": 40.0, "reg_item": 3.0, "n_epochs": 5},
    ),
    "pmf": Recipe(algorithm="pmf"),
    "bpmf": Recipe(algorithm="bpmf"),
    "knn": Recipe(algorithm="knn"),
    "blend": Recipe(algorithm="blend"),
    "bias": Recipe(algorithm="bias"),
}
"""Recipes whose accuracy is measured, with hyper-parameters as tuning found them on MovieLens 100K.

Those of ALS and SGD are the best of 60 trials on five folds within the first fold's training ratings:

    mfcore tune --set split.method=k-fold --set tuning.validation=k-fold --set tuning.pruner=none
        --set tuning.n_trials=60 --set tuning.max_epochs=60 --set tuning.algorithms=sgd

(ALS: 20 epochs at most and a patience of 4; λ of factors divided by the ratings' standard deviation since, which its
unit is now.) Where nothing is given the defaults are meant.
"""

_PEERS = {"cmfrec": (40, 10), "lenskit": (50, 10), "surprise": (100, 20), "cornac": (10, 20)}
"""Peers that predict ratings, with the numbers of factors and of epochs that are their own defaults."""


def accuracy(
    ratings: Ratings,
    recipes: Mapping[str, Recipe] = RECIPES,
    n_folds: int = 5,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
    *,
    with_peers: bool = True,
) -> dict[str, Any]:
    """Mean test RMSE over `n_folds` folds, each model trained on all ratings but the fold's.

    Peers train with their own defaults; what they cannot predict counts as the mean rating.

    Returns:
        {"rmse": {name: …}, "folds": {name: […]}, "recipes": {name: …}, "missing": [peer, …]}.
    """
    present = [peer for peer in _PEERS if with_peers and installed(peer)]
    trainers: dict[str, Callable[[Ratings], Predict]] = {
        **{name: _own(recipe) for name, recipe in recipes.items()},
        **{f"{peer}, its defaults": _peer(peer) for peer in present},
    }
    folds: dict[str, list[float]] = {name: [] for name in trainers}
    for fold in range(n_folds):
        config = SplitConfig(method="k-fold", n_folds=n_folds, fold=fold, seed=seed)
        parts = split(ratings, config)
        rest = ratings.take(parts.known)
        test = ratings.take(parts.test)
        for name, train in trainers.items():
            folds[name].append(rmse(train(rest)(test.users, test.items), test.values))
            tell(f"fold {fold} {name}: {folds[name][-1]:.4f}")
    return {
        "rmse": {name: float(np.mean(values)) for name, values in folds.items()},
        "folds": folds,
        "recipes": {name: recipe.model_dump() for name, recipe in recipes.items()},
        "missing": [peer for peer in _PEERS if with_peers and peer not in present],
    }


def _own(recipe: Recipe) -> Callable[[Ratings], Predict]:
    return lambda train: recipe.build().train(train).predict


def _peer(library: str) -> Callable[[Ratings], Predict]:
    n_factors, n_epochs = _PEERS[library]

    def train(ratings: Ratings) -> Predict:
        predict = prepare(library, ratings, n_factors)(n_epochs)

        def predict_all(users: Any, items: Any) -> Any:
            predicted = np.asarray(predict(users, items), np.float64)
            known = np.where(np.isfinite(predicted), predicted, ratings.values.mean(dtype=np.float64))
            return np.clip(known, ratings.scale.minimum, ratings.scale.maximum)

        return predict_all

    return train
