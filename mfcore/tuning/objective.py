"""What a trial is scored by: validation RMSE after each epoch."""

from collections.abc import Iterator

import numpy as np

from mfcore.metrics.rating import rmse
from mfcore.models import Recommender
from mfcore.tuning.folds import Fold

__all__ = ["learn"]


def learn(recommender: Recommender, folds: list[Fold]) -> Iterator[tuple[float, float | None]]:
    """Train one epoch after another, all folds side by side, without end.

    Yields:
        Mean of the folds' validation RMSE after the epoch, and its standard deviation (None for one fold).

    Raises:
        TrainingDiverged: factors left the range of numbers.
    """
    trainings = [(recommender.begin(train), held_out) for train, held_out in folds]
    while True:
        errors = []
        for training, held_out in trainings:
            training.step()
            errors.append(rmse(training.factors().predict(held_out.users, held_out.items), held_out.values))
        yield float(np.mean(errors)), float(np.std(errors, ddof=1)) if len(errors) > 1 else None
