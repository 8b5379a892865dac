"""`Objective`: what a model is made for, ratings or lists, and which of two figures is the better one."""

import math
from collections.abc import Sequence
from enum import StrEnum

__all__ = ["Objective"]


class Objective(StrEnum):
    """What a model is chosen by.

    One pair of factors can't do both well, so that each has studies, finalists and a head of its own.

    Attributes:
        RATING: predicting what somebody would give, by the root mean squared error; lower is better.
        RANKING: putting what somebody likes on top of their list, by NDCG@k; higher is better.

    >>> Objective("ranking").metric(10), Objective.RATING.metric(10)
    ('ndcg_at_10', 'rmse')
    >>> Objective.RANKING.better(0.3, 0.2), Objective.RATING.better(0.9, None)
    (True, True)
    """

    RATING = "rating"
    RANKING = "ranking"

    @property
    def higher_is_better(self) -> bool:
        """Which way its metric is to go."""
        return self is Objective.RANKING

    def metric(self, k: int) -> str:
        """The metric's name, without the part it is measured on; `k` is the length of lists."""
        return f"ndcg_at_{k}" if self is Objective.RANKING else "rmse"

    @property
    def purpose(self) -> str:
        """What a model of this objective is good for, in two sentences."""
        return _PURPOSES[self]

    def loss(self, value: float | None) -> float:
        """What is the less the better; infinite where there is no value. For sorting."""
        if value is None or math.isnan(value):
            return math.inf
        return -value if self.higher_is_better else value

    def better(self, value: float | None, other: float | None) -> bool:
        """Whether `one` is better than `other`; a value is better than none."""
        return self.loss(value) < self.loss(other)

    def best(self, values: Sequence[float]) -> int:
        """The place of the best value, of equals the first."""
        return min(range(len(values)), key=lambda place: self.loss(values[place]))


_PURPOSES = {
    Objective.RATING: (
        "The rating head says what somebody would give to an item, and is chosen by RMSE, the typical error of that. "
        "Its own lists are poor: it learns from what people chose to rate, and never sees what they passed by."
    ),
    Objective.RANKING: (
        "The ranking head puts what somebody likes on top of their list and finds similar items; it is chosen by "
        "NDCG@k, which counts the liked items there, the higher up the more. "
        "Its scores order items and are no ratings."
    ),
}
