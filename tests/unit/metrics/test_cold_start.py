from dataclasses import replace

import numpy as np
import pytest

from mfcore.metrics.cold_start import NUMBERS_KNOWN, Newcomers
from mfcore.models import ALS, GlobalMean
from tests.unit.metrics.cases import random_ratings


def drawn(times: bool = False, seed: int = 0) -> tuple[Newcomers, object, object]:
    ratings, split = random_ratings((60, 80), 1)
    if times:
        ratings = replace(ratings, times=np.random.default_rng(5).permutation(len(ratings)).astype(np.int64))
    train, test = ratings.take(split.train), ratings.take(split.test)
    return Newcomers.draw(train, test, seed), train, test


def test_newcomers_are_kept_from_training_altogether() -> None:
    newcomers, train, test = drawn()
    assert len(newcomers.users) == 6
    assert not np.isin(newcomers.others.users, newcomers.users).any()
    assert len(newcomers.others) + np.isin(train.users, newcomers.users).sum() == len(train)
    assert np.array_equal(np.unique(newcomers.test.users), newcomers.users)
    assert len(newcomers.test) == np.isin(test.users, newcomers.users).sum()
    assert newcomers.users.tolist() != drawn(seed=1)[0].users.tolist()


@pytest.mark.parametrize("times", [True, False])
def test_what_is_known_first_are_the_earliest_training_ratings(times: bool) -> None:
    newcomers, train, _ = drawn(times)
    for user, (items, values) in zip(newcomers.users, newcomers.first, strict=True):
        own = np.flatnonzero(train.users == user)
        assert len(items) == 20
        if times:
            own = own[np.argsort(train.times[own])][:20]
            assert items.tolist() == train.items[own].tolist()
        given = dict(zip(train.items[own].tolist(), train.values[own].tolist(), strict=True))
        assert all(given[item] == value for item, value in zip(items.tolist(), values.tolist(), strict=True))


def test_predictions_are_those_of_folding_in() -> None:
    newcomers, _, _ = drawn()
    factors = ALS(n_factors=3, n_epochs=4).fit(newcomers.others)
    found = dict(newcomers.predictions(factors))
    assert tuple(found) == NUMBERS_KNOWN
    place = 4
    items, values = newcomers.first[place]
    own = newcomers.test.users == newcomers.users[place]
    folded = factors.fold_in(items[:5], values[:5])
    assert found[5][own] == pytest.approx(folded.predict(np.zeros(own.sum(), np.int32), newcomers.test.items[own]))
    assert found[0][own] == pytest.approx(
        factors.predict(np.full(own.sum(), -1, np.int32), newcomers.test.items[own]), abs=1e-6
    )


def test_a_model_that_learns_nothing_of_users_predicts_the_same_whatever_is_known() -> None:
    newcomers, _, _ = drawn()
    predictions = [one for _, one in newcomers.predictions(GlobalMean().fit(newcomers.others))]
    assert all(np.array_equal(one, predictions[0]) for one in predictions)


def test_nobody_has_enough_ratings() -> None:
    ratings, split = random_ratings((30, 10), 0)
    train, test = ratings.take(split.train), ratings.take(split.test)
    newcomers = Newcomers.draw(train, test)
    assert len(newcomers.users) == 0
    assert len(newcomers.others) == len(train)
    assert [len(one) for _, one in newcomers.predictions(GlobalMean().fit(train))] == [0] * 6
