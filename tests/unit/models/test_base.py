from pathlib import Path

import numpy as np
import pytest

from mfcore.data.ratings import Ratings
from mfcore.metrics import rmse
from mfcore.models import ALS, BPMF, PMF, SGD, Factors, Training
from mfcore.testing import same_bits
from tests.contract.synthetic import make, synthetic_ratings


@pytest.mark.parametrize("nonnegative", [False, True])
def test_als_continues_exactly_where_it_stopped(nonnegative: bool, tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings()
    model = ALS(n_factors=5, n_epochs=9, nonnegative=nonnegative)
    whole = model.train(ratings)
    model.model_copy(update={"n_epochs": 4}).train(ratings).save(tmp_path)
    assert same_bits(model.partial_fit(Factors.load(tmp_path), ratings, n_epochs=5), whole)


@pytest.mark.parametrize("model", [SGD(n_factors=4, n_epochs=15), PMF(n_factors=4, n_epochs=6)])
def test_a_warm_start_saves_epochs(model: SGD | PMF) -> None:
    ratings, truth = synthetic_ratings()
    start = model.train(ratings)

    def error(factors: Factors) -> float:
        return rmse(factors.predict(truth.users, truth.items), truth.values)

    cold = model.model_copy(update={"n_epochs": 2}).train(ratings)
    assert error(model.partial_fit(start, ratings, n_epochs=2)) < error(cold)


def test_new_users_and_items_join_a_warm_start() -> None:
    ratings, _ = synthetic_ratings(n_users=100, n_items=60)
    old = np.flatnonzero((ratings.users < 90) & (ratings.items < 50))
    before = Ratings(
        ratings.users[old], ratings.items[old], ratings.values[old], None, np.arange(90), np.arange(50), ratings.scale
    )
    model = ALS(n_factors=2, reg_user=0.01, reg_item=0.01)
    factors = model.partial_fit(model.train(before), ratings, n_epochs=10)
    assert len(factors.user_ids) == 100 and len(factors.item_ids) == 60
    assert rmse(factors.predict(ratings.users, ratings.items), ratings.values) < 0.12


def test_factors_of_another_shape_or_kind_cannot_be_continued() -> None:
    ratings, _ = synthetic_ratings()
    with pytest.raises(ValueError, match="n_factors 3"):
        ALS(n_factors=4).begin(ratings, ALS(n_factors=3).train(ratings))
    with pytest.raises(ValueError, match="logistic"):
        ALS(n_factors=3).begin(ratings, PMF(n_factors=3, link="logistic").train(ratings))
    with pytest.raises(ValueError, match="not a state of its chain"):
        BPMF().begin(ratings, ALS(n_factors=3).train(ratings))


def test_training_stops_early_and_returns_the_best_epoch() -> None:
    """Eight factors without regularization learn the noise of a small sample by heart."""
    ratings, truth = synthetic_ratings(density=0.15, noise=0.5)
    model = ALS(n_factors=8, n_epochs=40, reg_user=1e-3, reg_item=1e-3)
    errors: list[float] = []

    def note(training: Training) -> None:
        factors = training.factors()
        errors.append(rmse(factors.predict(truth.users, truth.items), truth.values))

    best = model.train(ratings, note, validation=truth, patience=4)
    assert len(errors) < 40
    assert len(errors) == int(np.argmin(errors)) + 1 + 4
    assert rmse(best.predict(truth.users, truth.items), truth.values) == min(errors)


def test_without_validation_ratings_nothing_stops() -> None:
    ratings, _ = synthetic_ratings()
    epochs: list[int] = []
    model = ALS(n_factors=2, n_epochs=7)
    model.train(ratings, lambda training: epochs.append(training.epoch))
    assert epochs == list(range(1, 8))
    assert len(model.train(ratings, validation=make([], [], [], (200, 120)), patience=10).user_ids) == 200
