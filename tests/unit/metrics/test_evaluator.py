import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.metrics import root_mean_squared_error

from mfcore.config import EvaluationConfig
from mfcore.metrics import Evaluator, Measure, ModelMeasures
from mfcore.models import ALS, GlobalMean, MostPopular
from tests.unit.metrics.cases import random_factors, random_ratings

ITEMS = pd.DataFrame({"item_id": range(80), "genres": ["Drama|War" if n % 3 else "Comedy" for n in range(80)]})


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    ratings, split = random_ratings((60, 80), 1, density=0.5)
    return Evaluator(ratings, split, ITEMS, EvaluationConfig(ks=(5, 3)))


@pytest.fixture(scope="module")
def measured(evaluator: Evaluator) -> ModelMeasures:
    model = ALS(n_factors=3, n_epochs=3)
    return evaluator.measure(model.train(evaluator.known), model.train(evaluator.cold_start.others))


def by_name(measured: ModelMeasures) -> dict[tuple[str, str], Measure]:
    return {(one.metric, one.slice): one for one in measured.measures}


def test_nothing_is_left_out_without_a_word(evaluator: Evaluator, measured: ModelMeasures) -> None:
    found = by_name(measured)
    assert len(found) == len(measured.measures)
    ranked = ("ndcg", "precision", "recall", "map", "mrr", "hit_rate")
    rated = ("rmse", "mae", "r2", "mean_error", "user_rmse", "user_mae", "clipped", "cold")
    beyond = ("novelty", "diversity", "popularity_lift", "coverage", "gini", "stratified_ndcg", "stratified_recall")
    whole = {*rated, *(f"{name}_at_{k}" for name in ranked for k in (3, 5)), *(f"{name}_at_5" for name in beyond)}
    assert {metric for metric, part in found if part == "all"} == whole
    parts = {part for _, part in found}
    assert parts == set(evaluator.meanings)
    assert {"light users", "tail items", "genre War", "predicted 1 to 1.4", "new users, 5 ratings"} <= parts
    for one in measured.measures:
        assert one.value is None or math.isfinite(one.value)
        assert (one.value is not None and one.low is not None) or one.reason
        if one.low is not None and one.high is not None and one.value is not None:
            assert one.low <= one.high


def test_slices_agree_with_a_group_by(evaluator: Evaluator, measured: ModelMeasures) -> None:
    test, found = evaluator.test, by_name(measured)
    frame = pd.DataFrame({"user": test.users, "item": test.items, "a": test.values, "p": measured.predictions})
    counts = np.bincount(evaluator.known.users, minlength=60)
    bounds = np.quantile(counts[np.unique(test.users)], [1 / 3, 2 / 3], method="inverted_cdf")
    frame["third"] = np.searchsorted(bounds, counts[frame["user"]])
    for third, rows in frame.groupby("third"):
        name = f"{('light', 'medium', 'heavy')[int(third)]} users"
        assert found["rmse", name].value == pytest.approx(root_mean_squared_error(rows["a"], rows["p"]), rel=1e-5)
        assert found["rmse", name].n == len(rows)
    comedy = frame[frame["item"] % 3 == 0]
    assert found["rmse", "genre Comedy"].value == pytest.approx(
        root_mean_squared_error(comedy["a"], comedy["p"]), rel=1e-5
    )
    part = frame[(frame["p"] >= 3) & (frame["p"] < 3.4)]
    assert found["mean_error", "predicted 3 to 3.4"].value == pytest.approx((part["p"] - part["a"]).mean(), abs=1e-5)


def test_lists_by_slice_agree_with_counting(evaluator: Evaluator, measured: ModelMeasures) -> None:
    found = by_name(measured)
    lists = evaluator._lists(ALS(n_factors=3, n_epochs=3).train(evaluator.known))
    assert lists is not None
    counts = np.bincount(evaluator.known.users, minlength=60)
    light = np.quantile(counts[evaluator.users], 1 / 3, method="inverted_cdf")
    popularity = np.bincount(evaluator.known.items, minlength=80) / 60
    recalls: dict[str, list[float]] = {"light users": [], "genre Comedy": []}
    shown, own = [], []
    for user, items in zip(evaluator.users.tolist(), lists[:, :5].tolist(), strict=True):
        rated = evaluator.test.users == user
        liked = set(evaluator.test.items[rated & (evaluator.test.values >= 4)].tolist())
        comedies = {item for item in liked if item % 3 == 0}
        if counts[user] <= light:
            shown.append(popularity[items].mean())
            own.append(popularity[evaluator.known.items[evaluator.known.users == user]].mean())
            if liked:
                recalls["light users"].append(len(liked & set(items)) / len(liked))
        if comedies:
            recalls["genre Comedy"].append(len(comedies & set(items)) / len(comedies))
    for name, each in recalls.items():
        assert found["recall_at_5", name].value == pytest.approx(np.mean(each))
        assert found["recall_at_5", name].n == len(each)
    assert found["popularity_lift_at_5", "light users"].value == pytest.approx(np.mean(shown) / np.mean(own) - 1)
    assert found["novelty_at_5", "light users"].n == len(shown)


def test_cold_start_users_are_measured_by_a_model_without_them(evaluator: Evaluator, measured: ModelMeasures) -> None:
    without = ALS(n_factors=3, n_epochs=3).train(evaluator.cold_start.others)
    predicted = dict(evaluator.cold_start.predictions(without))[5]
    expected = root_mean_squared_error(evaluator.cold_start.test.values, predicted)
    one = by_name(measured)["rmse", "new users, 5 ratings"]
    assert (one.value, one.n) == (pytest.approx(expected, rel=1e-5), len(evaluator.cold_start.test))


def test_clipped_and_cold_are_counted() -> None:
    ratings, split = random_ratings((60, 80), 1)
    some = (ratings.users == 7) | (ratings.items == 9)
    rest = np.flatnonzero(~some)
    third = replace(split, test=np.union1d(split.test, np.flatnonzero(some)))
    third = replace(third, train=np.intersect1d(split.train, rest), validation=np.intersect1d(split.validation, rest))
    evaluator, factors = Evaluator(ratings, third), random_factors((60, 80), 3)
    found = by_name(evaluator.measure(factors, factors))
    scores = factors.pair_scores(evaluator.test.users, evaluator.test.items)
    assert found["clipped", "all"].value == pytest.approx(np.mean((scores < 1) | (scores > 5)))
    cold = (evaluator.test.users == 7) | (evaluator.test.items == 9)
    assert found["cold", "all"].value == pytest.approx(cold.mean())
    logistic = replace(factors, link="logistic")
    assert by_name(evaluator.measure(logistic, logistic))["clipped", "all"].value == 0


def test_a_model_without_an_opinion_has_no_list(evaluator: Evaluator) -> None:
    found = by_name(
        evaluator.measure(*(GlobalMean().train(one) for one in (evaluator.known, evaluator.cold_start.others)))
    )
    for metric in ("ndcg_at_5", "recall_at_3", "novelty_at_5", "coverage_at_5", "gini_at_5"):
        assert found[metric, "all"].value is None
        assert found[metric, "all"].reason == "all items have the same score, which is no list"
    assert found["rmse", "all"].value is not None


def test_what_cannot_be_computed_says_why() -> None:
    ratings, split = random_ratings((12, 15), 1)
    evaluator = Evaluator(ratings, split, config=EvaluationConfig(relevant_from=6, ks=(1,)))
    factors = random_factors((12, 15), 0)
    found = by_name(evaluator.measure(factors, factors))
    reasons = {name: one.reason for name, one in found.items() if one.value is None}
    assert reasons["ndcg_at_1", "all"] == "no user has a test rating of 6 or more here"
    assert reasons["diversity_at_1", "all"] == "a list of one item has no pair"
    assert reasons["rmse", "new users, 1 rating"] == "no user with a test rating has 20 training ratings"
    assert found["rmse", "light users"].reason == "fewer than 20 users: no interval"
    assert found["coverage_at_1", "all"].low is None and found["coverage_at_1", "all"].reason


def test_lists_leave_out_what_was_seen_in_train_or_validation(evaluator: Evaluator) -> None:
    items = evaluator._lists(MostPopular().train(evaluator.known))
    assert items is not None
    pairs = set(zip(evaluator.known.users.tolist(), evaluator.known.items.tolist(), strict=True))
    listed = {(user, item) for user, row in zip(evaluator.users.tolist(), items.tolist(), strict=True) for item in row}
    assert not pairs & listed


def test_the_same_seed_gives_the_same_measures(measured: ModelMeasures) -> None:
    ratings, split = random_ratings((60, 80), 1, density=0.5)
    again = Evaluator(ratings, split, ITEMS, EvaluationConfig(ks=(5, 3)))
    model = ALS(n_factors=3, n_epochs=3)
    assert again.measure(model.train(again.known), model.train(again.cold_start.others)).measures == measured.measures


def test_a_measure_is_never_nan_or_empty_without_a_word() -> None:
    with pytest.raises(ValidationError, match="rmse of all is nan"):
        Measure(metric="rmse", value=math.nan, n=0, reason="none")
    with pytest.raises(ValidationError, match="no reason why"):
        Measure(metric="rmse", value=1.0, n=3)
