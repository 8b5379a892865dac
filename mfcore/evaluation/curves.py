"""`LearningCurve`: training and validation RMSE of one fit, epoch by epoch."""

from contextlib import suppress

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.metrics.rating import rmse
from mfcore.models import Recipe, Training

__all__ = ["CHECKPOINTS", "LearningCurve", "learning_curve"]

CHECKPOINTS = (1, 2, 5, 10, 25, 50, 100, 200)
"""Epochs that curves are drawn at where every epoch would be too many."""

_MOST_RATINGS = 5_000_000
"""Ratings that are passed over, at most, in epochs beyond the recipe's own."""
_SAMPLE = 20_000
"""Ratings that RMSE is taken of after each epoch, at most."""


class LearningCurve(BaseModel):
    """How errors went as training went on.

    Attributes:
        train: RMSE on training ratings after epochs 1, 2, ….
        validation: RMSE on validation ratings, which the fit did not see.
        chosen: the recipe's number of epochs; what follows shows what more would have done.
    """

    model_config = ConfigDict(frozen=True)

    train: list[float] = []
    validation: list[float] = []
    chosen: int = 0

    def frame(self) -> pd.DataFrame:
        """A row per epoch: epoch, train_rmse, validation_rmse, checkpoint."""
        epochs = np.arange(1, len(self.train) + 1)
        return pd.DataFrame(
            {
                "epoch": epochs,
                "train_rmse": self.train,
                "validation_rmse": self.validation,
                "checkpoint": np.isin(epochs, CHECKPOINTS),
            }
        )


def learning_curve(recipe: Recipe, train: Ratings, validation: Ratings) -> LearningCurve:
    """Train `recipe` on `train` alone and take both errors after each epoch, of the same fit.

    Training goes on beyond the recipe's epochs, to 200, as long as that is no more than five
    million ratings passed over: on a hundred thousand ratings one sees a model overfit, on ten
    million a night is not spent on it. The curve of a recipe with one epoch is a point, and one
    whose training diverges ends there. Errors are of 20,000 ratings drawn at random, the same
    after each epoch, where there are more.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    >>> recipe = Recipe(algorithm="als", params={"n_factors": 4, "n_epochs": 3})
    >>> curve = learning_curve(recipe, ratings.take(np.arange(0, 600, 2)), ratings.take(np.arange(1, 600, 2)))
    >>> len(curve.train), len(curve.validation), curve.chosen
    (200, 200, 3)
    """
    recommender = recipe.build()
    n_epochs = recommender.n_epochs
    if n_epochs > 1:
        n_epochs = max(n_epochs, min(CHECKPOINTS[-1], _MOST_RATINGS // max(1, len(train))))
    parts = _sample(train), _sample(validation)
    errors: tuple[list[float], list[float]] = [], []

    def follow(training: Training) -> None:
        factors = training.factors()
        for part, curve in zip(parts, errors, strict=True):
            curve.append(rmse(factors.predict(part.users, part.items), part.values))

    with suppress(TrainingDiverged):
        recommender.model_copy(update={"n_epochs": n_epochs}).train(train, on_epoch=follow)
    return LearningCurve(train=errors[0], validation=errors[1], chosen=recommender.n_epochs)


def _sample(ratings: Ratings) -> Ratings:
    if len(ratings) <= _SAMPLE:
        return ratings
    return ratings.take(np.sort(np.random.default_rng(0).choice(len(ratings), _SAMPLE, replace=False)))
