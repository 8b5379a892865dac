"""What a validation figure is, for either objective, and which of two is better."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from threadpoolctl import threadpool_limits

from mfcore.config import EvaluationConfig, TuningConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import NothingRelevant
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import BiasOnly, Factors, MostPopular
from tests.contract.synthetic import make
from tests.unit.metrics.cases import random_factors, random_ratings

RATING, RANKING = Objective.RATING, Objective.RANKING


def parts(shape: tuple[int, int] = (30, 40), seed: int = 0) -> tuple[Ratings, Ratings]:
    ratings, split = random_ratings(shape, seed)
    return ratings.take(split.train), ratings.take(split.test)


@given(st.lists(st.floats(0, 5), min_size=1))
def test_the_best_is_the_least_error_or_the_greatest_gain(values: list[float]) -> None:
    assert RATING.best(values) == int(np.argmin(values))
    assert RANKING.best(values) == int(np.argmax(values))
    assert RATING.better(values[0], values[-1]) == RANKING.better(values[-1], values[0])


def test_a_figure_is_better_than_none() -> None:
    for objective in Objective:
        assert objective.better(0.5, None) and objective.better(0.5, math.nan)
        assert not objective.better(None, 0.5)
    assert [str(one) for one in Objective] == ["rating", "ranking"]


def test_it_is_measured_as_the_configuration_says() -> None:
    tuning, lists = TuningConfig(max_ranking_users=7, seed=3), EvaluationConfig(ks=(4, 9), relevant_from=3)
    yardstick = Yardstick.of(RANKING, tuning, lists)
    assert yardstick == Yardstick(objective=RANKING, k=4, relevant_from=3, max_users=7, seed=3)
    assert (yardstick.metric, Yardstick().metric) == ("ndcg_at_4", "rmse")
    assert Yardstick.model_validate_json(yardstick.model_dump_json()) == yardstick


@pytest.mark.parametrize("seed", range(4))
def test_ndcg_is_that_of_sklearn_over_unrated_items(seed: int) -> None:
    train, held_out = parts(seed=seed)
    factors = random_factors((30, 40), seed)
    expected = []
    for user in range(30):
        liked = np.zeros(40)
        liked[held_out.items[(held_out.users == user) & (held_out.values >= 4)]] = 1
        if liked.any():
            left = np.setdiff1d(np.arange(40), train.items[train.users == user])
            scores = factors.scores(np.array([user], np.int32))[0]
            expected.append(ndcg_score([liked[left]], [scores[left]], k=5))
    assert len(expected) > 20
    assert Yardstick(objective=RANKING, k=5).on(train, held_out)(factors) == pytest.approx(np.mean(expected))


def test_rmse_is_of_all_held_out_ratings() -> None:
    train, held_out = parts()
    factors = BiasOnly().train(train)
    errors = factors.predict(held_out.users, held_out.items) - held_out.values
    assert Yardstick().on(train, held_out)(factors) == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)


def test_some_users_drawn_by_the_seed_stand_for_many() -> None:
    train, held_out = parts((300, 60))
    factors = MostPopular().train(train)
    whole, *some = (
        Yardstick(objective=RANKING, max_users=n, seed=seed).on(train, held_out)(factors)
        for n, seed in ((5000, 0), (100, 0), (100, 0), (100, 1))
    )
    assert some[0] == some[1] != some[2]
    assert some[0] == pytest.approx(whole, abs=0.1)


def test_the_bits_do_not_depend_on_the_number_of_threads() -> None:
    train, held_out = parts((400, 300))
    factors, measure = random_factors((400, 300), 1, k=64), Yardstick(objective=RANKING).on(train, held_out)
    found = []
    for n in (1, 2):
        with threadpool_limits(n, "blas"):
            found.append(measure(factors))
    assert found[0] == found[1]


def test_nobody_liked_anything() -> None:
    train = make([0, 1], [0, 1], [1, 2], (2, 3))
    with pytest.raises(NothingRelevant, match="nobody has a validation rating of 3.4 or more") as raised:
        Yardstick(objective=RANKING).on(train, make([0, 1], [1, 0], [1, 2], (2, 3)))
    assert "evaluation.relevant_from" in str(raised.value)


def one_user(item_factors: list[float], scale: Scale) -> Factors:
    n = len(item_factors)
    return Factors(
        0.0,
        np.zeros(1, np.float32),
        np.array(item_factors, np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((n, 1), np.float32),
        np.arange(1),
        np.arange(n),
        scale,
    )


@pytest.mark.parametrize(
    ("train", "held_out", "scale", "expected"),
    [
        ([(0, 1)], [(1, 5), (2, 5)], Scale(1, 5, 1), 1.0),  # fewer items than k, and every rating a like
        ([(0, 1), (1, 2)], [(2, 5)], Scale(1, 5, 1), 1.0),  # everything else is rated
        ([], [(0, 5)], Scale(1, 5, 1), 1.0),  # one item
        ([(0, -9.5)], [(1, 7.25), (2, -3.5)], Scale(-10, 10), 1 / np.log2(3)),  # real-valued; liked from 2 on
    ],
)
def test_edges(
    train: list[tuple[int, float]], held_out: list[tuple[int, float]], scale: Scale, expected: float
) -> None:
    n_items = 1 + max(item for item, _ in [*train, *held_out])

    def of(rows: list[tuple[int, float]]) -> Ratings:
        items, values = [item for item, _ in rows], [value for _, value in rows]
        return make([0] * len(rows), items, values, (1, n_items), scale)

    factors = one_user([float(item) for item in range(n_items)], scale)  # the last item first
    assert Yardstick(objective=RANKING).on(of(train), of(held_out))(factors) == pytest.approx(expected)


def test_users_without_a_relevant_item_have_no_part_in_the_mean() -> None:
    train, held_out = make([0, 1], [0, 0], [3, 3], (2, 3)), make([0, 1], [2, 2], [5, 1], (2, 3))
    both = Factors(
        0.0, *(np.zeros(n, np.float32) for n in (2, 3)), np.zeros((2, 1), np.float32), np.zeros((3, 1), np.float32),
        np.arange(2), np.arange(3), Scale(1, 5, 1),
    )  # fmt: skip
    assert Yardstick(objective=RANKING).on(train, held_out)(both) == pytest.approx(1 / np.log2(3))
