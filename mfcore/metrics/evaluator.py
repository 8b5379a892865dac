"""`Evaluator`: factors in, every metric on every slice out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.config import EvaluationConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import Split
from mfcore.metrics.beyond_accuracy import Profiles, coverage, gini
from mfcore.metrics.cold_start import NUMBERS_KNOWN, ColdStartUsers
from mfcore.metrics.intervals import Bootstrap, Estimate, Statistic
from mfcore.metrics.measure import Measure
from mfcore.metrics.ranking import RelevantItems, rank_statistics, relevant_threshold
from mfcore.metrics.rating import calibration_bins, calibration_edges, rating_statistics
from mfcore.metrics.slices import ALL, Slice, genres, head_and_tail, users_by_activity
from mfcore.metrics.stratified import Stratified
from mfcore.models.factors import Factors
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems

__all__ = ["Evaluator", "ModelMeasures"]

Named = tuple[str, str, Statistic]
"""Metric, slice, and the sums it is made from."""

_NO_ORDER = "all items have the same score, which is no list"
_OF_ALL_LISTS = "of all lists together and no mean over users: no interval"
_NO_COLD_START = "no user with a test rating has 20 training ratings"


@dataclass(frozen=True, eq=False)
class ModelMeasures:
    """What was found of a model.

    Attributes:
        measures: all of them, those of the whole first.
        estimates: of the whole, by metric, with the replicates that comparisons are made from.
        predictions: float32, (n_test,); predicted ratings of the test pairs.
    """

    measures: list[Measure]
    estimates: dict[str, Estimate]
    predictions: NDArray[np.float32]


class Evaluator:
    """Test ratings, and what about them is the same for every model: slices, relevant items, profiles, draws of users.

    Rating metrics are of all test ratings. Lists are made for every user with a test rating, from
    the whole catalog without what the user rated in training, once at the greatest k; ranking
    metrics are means over those who liked a test item, the rest of the lists' metrics over all.
    Every slice has the rating metrics, and the ranking metrics at the first k; in a slice of items
    only relevant items among these count, and the lists stay the same.

    >>> from mfcore.config import SplitConfig
    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.splitting import split
    >>> from mfcore.data.synthetic import synthesize
    >>> from mfcore.models import BiasOnly
    >>> ratings = Ratings.from_frame(synthesize(60, 40, 1200).frame, Scale(1, 5, 1))
    >>> evaluator, model = Evaluator(ratings, split(ratings, SplitConfig())), BiasOnly()
    >>> measured = evaluator.measure(model.train(evaluator.known), model.train(evaluator.cold_start.others))
    >>> [(one.metric, one.slice, one.n) for one in measured.measures[:2]]
    [('rmse', 'all', 120), ('mae', 'all', 120)]
    """

    def __init__(
        self,
        ratings: Ratings,
        split: Split,
        items: pd.DataFrame | None = None,
        config: EvaluationConfig | None = None,
    ) -> None:
        """Prepare.

        Args:
            ratings: all of them.
            split: which are train, validation and test; the first two are what models are trained on.
            items: item_id, and genres where they are known.
            config: lists' lengths, the threshold of relevance, the seed of what is drawn.
        """
        config = config or EvaluationConfig()
        self.test = ratings.take(split.test)
        known = ratings.take(split.known)
        self.cold_start = ColdStartUsers.draw(known, self.test, config.seed)
        # Nothing else asks when.
        self.known, timeless = known.without_times(), ratings.without_times()
        self.train, self.validation = timeless.take(split.train), timeless.take(split.validation)
        train, test, self.ks = self.known, self.test, config.ks
        users, position = np.unique(test.users, return_inverse=True)
        self.users, self.position = users.astype(np.int32), position
        self.bootstrap = Bootstrap(len(self.users), config.seed)
        self.rated, self.profiles = RatedItems.of(train), Profiles.of(train, config.seed)
        self.stratified = Stratified.of(train, config.stratified_by)
        threshold = relevant_threshold(test.scale, config.relevant_from)
        self.relevant = RelevantItems.of(test, threshold)
        self.no_relevant = f"no user has a test rating of {threshold:g} or more here"
        self.slices = [
            Slice(ALL, "all test ratings"),
            *users_by_activity(train, self.users),
            *head_and_tail(train),
            *genres(items, train.item_ids),
        ]
        n_of_user = np.bincount(train.users, minlength=train.n_users)
        n_of_item = np.bincount(train.items, minlength=train.n_items)
        self.cold = (n_of_user[test.users] == 0) | (n_of_item[test.items] == 0)

    @property
    def meanings(self) -> dict[str, str]:
        """What each slice is: name → meaning."""
        meanings = {part.name: part.meaning for part in self.slices}
        meanings |= {name: "by predicted rating, whatever the true one" for name in self._predicted_names()}
        folded = f"{len(self.cold_start.users):,} users whom training did not see"
        return meanings | {_cold_start_name(number): folded for number in NUMBERS_KNOWN}

    def measure(self, factors: Factors, without_cold_start: Factors | None) -> ModelMeasures:
        """Measure a model.

        Args:
            factors: trained on the training ratings.
            without_cold_start: by the same recipe, on those of `cold_start.others`; None: what is predicted
                for new users is left out, as for models that are not to predict ratings.
        """
        scores = factors.pair_scores(self.test.users, self.test.items)
        predicted = factors.to_ratings(scores)
        items = self._lists(factors)
        named = [*self._ratings(factors, scores, predicted), *self._ranks(items), *self._beyond(items)]
        named += self._calibration(predicted)
        if without_cold_start is not None:
            named += self._cold_start_metrics(without_cold_start)
        estimates = self.bootstrap.estimate(statistic for _, _, statistic in named)
        measures = [
            Measure.of(name, part, estimate) for (name, part, _), estimate in zip(named, estimates, strict=True)
        ]
        measures += self._of_all_lists(items)
        return ModelMeasures(
            measures=sorted(measures, key=lambda measure: measure.slice != ALL),
            estimates={
                name: estimate for (name, part, _), estimate in zip(named, estimates, strict=True) if part == ALL
            },
            predictions=predicted,
        )

    def _lists(self, factors: Factors) -> NDArray[np.int32] | None:
        """The users' lists, (n_users, greatest k); None where the model has no opinion of what is better."""
        biased = len(factors.item_bias) and np.ptp(factors.item_bias) > 0
        if not biased and not (factors.user_factors.any() and factors.item_factors.any()):
            return None
        return top_items(factors, self.users, max(self.ks), self.rated)[0]

    def _ratings(
        self, factors: Factors, scores: NDArray[np.float32], predicted: NDArray[np.float32]
    ) -> Iterator[Named]:
        clipped = (scores != predicted) if factors.link == "identity" else np.zeros(len(scores), np.bool_)
        for part in self.slices:
            rows = part.of(self.test)
            statistics = rating_statistics(
                self.position[rows],
                len(self.users),
                predicted[rows],
                self.test.values[rows],
                clipped[rows],
                self.cold[rows],
            )
            yield from ((name, part.name, statistic) for name, statistic in statistics.items())

    def _calibration(self, predicted: NDArray[np.float32]) -> Iterator[Named]:
        """The mean error of predictions in each tenth of the scale."""
        parts, none = calibration_bins(predicted, self.test.scale), np.zeros(len(predicted), np.bool_)
        for part, name in enumerate(self._predicted_names()):
            rows = parts == part
            statistics = rating_statistics(
                self.position[rows], len(self.users), predicted[rows], self.test.values[rows], none[rows], none[rows]
            )
            yield "mean_error", name, replace(statistics["mean_error"], unknown="nothing is predicted there")

    def _predicted_names(self) -> list[str]:
        return [f"predicted {low:.4g} to {high:.4g}" for low, high in pairwise(calibration_edges(self.test.scale))]

    def _ranks(self, items: NDArray[np.int32] | None) -> Iterator[Named]:
        for part in self.slices:
            relevant = self.relevant if part.items is None else self.relevant.among(part.items)
            n_relevant = relevant.counts(self.users)
            if part.users is not None:
                n_relevant = np.where(part.users[self.users], n_relevant, 0)
            if items is None:
                hits, n_relevant, unknown = (
                    np.zeros((len(self.users), max(self.ks)), np.bool_),
                    n_relevant * 0,
                    _NO_ORDER,
                )
            else:
                hits, unknown = relevant.hits(self.users, items), self.no_relevant
            for k in self.ks if part.name == ALL else self.ks[:1]:
                statistics = rank_statistics(hits, n_relevant, k, unknown)
                yield from ((name, part.name, statistic) for name, statistic in statistics.items())
        shown = np.full((len(self.users), max(self.ks)), -1, np.int32) if items is None else items
        relevant = self.relevant if items is not None else RelevantItems(self.relevant.keys[:0], self.relevant.n_items)
        unknown = self.no_relevant if items is not None else _NO_ORDER
        statistics = self.stratified.statistics(relevant, self.users, shown, self.ks[0], unknown)
        yield from ((name, ALL, statistic) for name, statistic in statistics.items())

    def _beyond(self, items: NDArray[np.int32] | None) -> Iterator[Named]:
        for part in self.slices:
            if part.items is None:
                among = np.ones(len(self.users), np.bool_) if part.users is None else part.users[self.users]
                if items is None:
                    shown, unknown = np.full((len(self.users), max(self.ks)), -1, np.int32), _NO_ORDER
                else:
                    shown, unknown = items, "nobody has a list"
                statistics = self.profiles.statistics(self.users, shown, self.ks[0], among, unknown)
                yield from ((name, part.name, statistic) for name, statistic in statistics.items())

    def _of_all_lists(self, items: NDArray[np.int32] | None) -> Iterator[Measure]:
        n_items = self.test.n_items
        for name, figure in (("coverage", coverage), ("gini", gini)):
            value = np.nan if items is None else figure(items[:, : self.ks[0]], n_items)
            known = bool(np.isfinite(value))
            yield Measure(
                metric=f"{name}_at_{self.ks[0]}",
                value=value if known else None,
                n=len(self.users) if known else 0,
                reason=_OF_ALL_LISTS if known else _NO_ORDER if items is None else "nothing is in any list",
            )

    def _cold_start_metrics(self, factors: Factors) -> Iterator[Named]:
        test = self.cold_start.test
        position, none = np.searchsorted(self.users, test.users), np.zeros(len(test), np.bool_)
        for number, predicted in self.cold_start.predictions(factors):
            statistics = rating_statistics(position, len(self.users), predicted, test.values, none, none)
            for name in ("rmse", "mae"):
                yield name, _cold_start_name(number), replace(statistics[name], unknown=_NO_COLD_START)


def _cold_start_name(number: int) -> str:
    return f"new users, {number} rating{'' if number == 1 else 's'}"
