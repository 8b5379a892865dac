"""`Yardstick`: how an objective is measured on ratings that were held out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.config import EvaluationConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import NothingRelevant
from mfcore.metrics.objective import Objective
from mfcore.metrics.ranking import RelevantItems, rank_metrics, relevant_threshold
from mfcore.metrics.rating import rmse
from mfcore.models.factors import Factors
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems

__all__ = ["Yardstick"]


class Yardstick(BaseModel):
    """An objective, and how it is measured on validation ratings.

    Attributes:
        objective: RMSE of the validation ratings, or NDCG@k of lists.
        k: length of the lists.
        relevant_from: the rating from which an item counts as liked; None: the upper 40 % of the scale.
        max_users: users whose lists are made, at most.
        seed: of who they are.
    """

    model_config = ConfigDict(frozen=True)

    objective: Objective = Objective.RATING
    k: int = 10
    relevant_from: float | None = None
    max_users: int = 5000
    seed: int = 0

    @classmethod
    def of(cls, objective: Objective, tuning: TuningConfig, evaluation: EvaluationConfig) -> "Yardstick":
        """As the configuration says; lists are of the first length that is evaluated."""
        return cls(
            objective=objective,
            k=evaluation.ks[0],
            relevant_from=evaluation.relevant_from,
            max_users=tuning.max_ranking_users,
            seed=tuning.seed,
        )

    @property
    def metric(self) -> str:
        """`rmse`, or `ndcg_at_10` and the like."""
        return self.objective.metric(self.k)

    def on(self, train: Ratings, held_out: Ratings) -> Callable[[Factors], float]:
        r"""What measures factors that were trained on `train`; to be called after each epoch.

        - rating: the root of the mean squared error of the ratings held out;
        - ranking: the mean NDCG@k over users who liked something that was held out, of lists over the
          whole catalog without what they had rated in `train`. Of more than `max_users` such users that
          many are drawn. Scores are products by one thread of BLAS, so that their bits don't depend on
          the number of threads: 2 k' flops for each user and item, k' being the length of a factor row,
          which is less than the epoch before took.

        Raises:
            NothingRelevant: nobody liked anything that was held out (ranking).

        >>> from mfcore.data.ratings import Scale
        >>> from mfcore.data.synthetic import synthesize
        >>> from mfcore.models import MostPopular
        >>> ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
        >>> train, held_out = ratings.take(np.arange(0, 600, 2)), ratings.take(np.arange(1, 600, 2))
        >>> measure = Yardstick(objective=Objective.RANKING, k=5).on(train, held_out)
        >>> 0 < measure(MostPopular().train(train)) < 1
        True
        """
        if self.objective is Objective.RATING:
            return lambda factors: rmse(factors.predict(held_out.users, held_out.items), held_out.values)
        relevant, users = RelevantItems.of(held_out, self.relevant_from), self.users(held_out)
        if not len(users):
            threshold = relevant_threshold(held_out.scale, self.relevant_from)
            raise NothingRelevant(
                f"ranking: nobody has a validation rating of {threshold:g} or more, so that lists can't be measured. "
                "Lower evaluation.relevant_from, or tune for ratings alone with tuning.ranking = []."
            )
        rated, n_relevant = RatedItems.of(train), relevant.counts(users)

        def ndcg(factors: Factors) -> float:
            items, _ = top_items(factors, users, self.k, rated)
            return float(rank_metrics(relevant.hits(users, items), n_relevant, self.k)["ndcg"].mean())

        return ndcg

    def users(self, held_out: Ratings) -> NDArray[np.int32]:
        """Whose lists are measured: those who liked something, `max_users` of them at most, ascending."""
        relevant = RelevantItems.of(held_out, self.relevant_from)
        users = np.unique(relevant.keys // max(1, held_out.n_items)).astype(np.int32)
        if len(users) > self.max_users:
            users = np.sort(np.random.default_rng(self.seed).choice(users, self.max_users, replace=False))
        return users
