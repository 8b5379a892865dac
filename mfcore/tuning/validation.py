"""`Validation`: what trials are trained on, and what they are measured by after each epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recommender
from mfcore.tuning.folds import Fold

__all__ = ["Validation"]


class Validation:
    """Folds, and a yardstick laid on each of them; made once for all trials of a process."""

    def __init__(self, folds: Sequence[Fold], yardstick: Yardstick) -> None:
        """Prepare.

        Raises:
            NothingRelevant: a fold in which nobody liked anything (ranking).
        """
        self._parts = [(train, yardstick.on(train, held_out)) for train, held_out in folds]

    def learn(self, recommender: Recommender) -> Iterator[tuple[float, float | None]]:
        """Train one epoch after another, all folds side by side, without end.

        Yields:
            Mean of the folds' figures after the epoch, and its standard deviation (None for one fold).

        Raises:
            TrainingDiverged: factors left the range of numbers.
        """
        trainings = [(recommender.begin(train), measure) for train, measure in self._parts]
        while True:
            figures = []
            for training, measure in trainings:
                training.step()
                figures.append(measure(training.factors()))
            yield float(np.mean(figures)), float(np.std(figures, ddof=1)) if len(figures) > 1 else None
