from dataclasses import replace

import numpy as np
import pytest

from mfcore.metrics.cold_start import NUMBERS_KNOWN, ColdStartUsers
from mfcore.models import ALS, GlobalMean
from tests.unit.metrics.cases import random_ratings


def drawn(times: bool = False, seed: int = 0) -> tuple[ColdStartUsers, object, object]:
    ratings, split = random_ratings((60, 80), 1)
    if times:
        ratings = replace(ratings, times=np.random.default_rng(5).permutation(len(ratings)).astype(np.int64))
    train, test = ratings.take(split.train), ratings.take(split.test)
    return ColdStartUsers.draw(train, test, seed), train, test


def test_cold_start_users_are_kept_from_training_altogether() -> None:
    cold_start, train, test = drawn()
    assert len(cold_start.users) == 6
    assert not np.isin(cold_start.others.users, cold_start.users).any()
    assert len(cold_start.others) + np.isin(train.users, cold_start.users).sum() == len(train)
    assert np.array_equal(np.unique(cold_start.test.users), cold_start.users)
    assert len(cold_start.test) == np.isin(test.users, cold_start.users).sum()
    assert cold_start.users.tolist() != drawn(seed=1)[0].users.tolist()


@pytest.mark.parametrize("times", [True, False])
def test_what_is_known_first_are_the_earliest_training_ratings(times: bool) -> None:
    cold_start, train, _ = drawn(times)
    for user, (items, values) in zip(cold_start.users, cold_start.first, strict=True):
        own = np.flatnonzero(train.users == user)
        assert len(items) == 20
        if times:
            own = own[np.argsort(train.times[own])][:20]
            assert items.tolist() == train.items[own].tolist()
        given = dict(zip(train.items[own].tolist(), train.values[own].tolist(), strict=True))
        assert all(given[item] == value for item, value in zip(items.tolist(), values.tolist(), strict=True))


def test_predictions_are_those_of_folding_in() -> None:
    cold_start, _, _ = drawn()
    factors = ALS(n_factors=3, n_epochs=4).train(cold_start.others)
    found = dict(cold_start.predictions(factors))
    assert tuple(found) == NUMBERS_KNOWN
    place = 4
    items, values = cold_start.first[place]
    own = cold_start.test.users == cold_start.users[place]
    folded = factors.fold_in(items[:5], values[:5])
    assert found[5][own] == pytest.approx(folded.predict(np.zeros(own.sum(), np.int32), cold_start.test.items[own]))
    assert found[0][own] == pytest.approx(
        factors.predict(np.full(own.sum(), -1, np.int32), cold_start.test.items[own]), abs=1e-6
    )


def test_a_model_that_learns_nothing_of_users_predicts_the_same_whatever_is_known() -> None:
    cold_start, _, _ = drawn()
    predictions = [one for _, one in cold_start.predictions(GlobalMean().train(cold_start.others))]
    assert all(np.array_equal(one, predictions[0]) for one in predictions)


def test_nobody_has_enough_ratings() -> None:
    ratings, split = random_ratings((30, 10), 0)
    train, test = ratings.take(split.train), ratings.take(split.test)
    cold_start = ColdStartUsers.draw(train, test)
    assert len(cold_start.users) == 0
    assert len(cold_start.others) == len(train)
    assert [len(one) for _, one in cold_start.predictions(GlobalMean().train(train))] == [0] * 6
