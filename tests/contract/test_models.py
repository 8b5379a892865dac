"""What every trainer promises, whatever its algorithm."""

import copy
from pathlib import Path

import numba
import numpy as np
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.metrics import rmse
from mfcore.models import MODELS, BiasOnly, Factors, Recommender
from tests.contract.planted import make, planted

LEARNERS = {
    "als": {"n_factors": 2, "reg_user": 0.01, "reg_item": 0.01},
    "bpmf": {"n_factors": 2, "n_epochs": 60},
    "sgd": {"n_factors": 2, "reg_user": 0.01, "reg_item": 0.01, "n_epochs": 60},
    "pmf": {"n_factors": 2, "priors": "fixed", "reg_user": 0.2, "reg_item": 0.2},
}
"""Hyper-parameters that suit the planted ratings: little noise, two factors."""


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> Recommender:
    return MODELS[request.param](**({"n_factors": 5} if request.param in LEARNERS else {}))


ARRAYS = ("user_bias", "item_bias", "user_factors", "item_factors")


def same_bits(one: Factors, other: Factors) -> bool:
    equal = all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in ARRAYS)
    return equal and one.global_mean == other.global_mean and one.link == other.link


def check_sound(factors: Factors, scale: Scale) -> None:
    """Every pair, known or not, has a finite prediction on the scale, in float32."""
    users, items = np.meshgrid(np.arange(-1, len(factors.user_ids)), np.arange(-1, len(factors.item_ids)))
    predictions = factors.predict(users.ravel().astype(np.int32), items.ravel().astype(np.int32))
    assert predictions.dtype == np.float32
    assert np.isfinite(predictions).all()
    assert predictions.min() >= scale.minimum and predictions.max() <= scale.maximum
    assert all(getattr(factors, name).dtype == np.float32 for name in ARRAYS)


@pytest.mark.parametrize("algorithm", sorted(LEARNERS))
def test_recovers_planted_factors(algorithm: str) -> None:
    ratings, truth = planted()
    factors = MODELS[algorithm](**LEARNERS[algorithm]).fit(ratings)
    error = rmse(factors.predict(truth.users, truth.items), truth.values)
    # Noise of 0.1 over ~80 ratings a row and ~6 unknowns a pair of rows leaves about 0.04.
    assert error < 0.08
    biases = BiasOnly().fit(ratings)
    assert error < 0.2 * rmse(biases.predict(truth.users, truth.items), truth.values)


@pytest.mark.parametrize("algorithm", sorted(LEARNERS))
def test_another_seed_is_another_start_and_as_good(algorithm: str) -> None:
    ratings, truth = planted()
    fits = [MODELS[algorithm](seed=seed, **LEARNERS[algorithm]).fit(ratings) for seed in (1, 2)]
    assert not same_bits(*fits)
    assert all(rmse(factors.predict(truth.users, truth.items), truth.values) < 0.08 for factors in fits)


def test_same_bits_whatever_the_number_of_threads(model: Recommender) -> None:
    ratings, _ = planted()
    before = numba.get_num_threads()
    fits = []
    try:
        for n_threads in sorted({1, min(2, before), before}):
            numba.set_num_threads(n_threads)
            fits += [model.fit(ratings), model.fit(ratings)]
    finally:
        numba.set_num_threads(before)
    assert all(same_bits(fits[0], other) for other in fits[1:])


def test_fit_is_the_loop_over_step(model: Recommender) -> None:
    ratings, _ = planted()
    training = model.begin(ratings)
    midway = None
    for _ in range(model.n_epochs):
        training.step()
        if midway is None:
            midway = training.factors()
            kept = copy.deepcopy(midway)
    epochs: list[int] = []
    assert same_bits(training.factors(), model.fit(ratings, lambda one: epochs.append(one.epoch)))
    assert epochs == list(range(1, model.n_epochs + 1))
    assert midway is None or same_bits(midway, kept), "later steps changed factors handed out before"


def test_fit_leaves_its_input_alone(model: Recommender) -> None:
    ratings, _ = planted()
    before = copy.deepcopy(ratings)
    for array in (ratings.users, ratings.items, ratings.values):
        array.flags.writeable = False
    model.fit(ratings)
    for name in ("users", "items", "values", "user_ids", "item_ids"):
        assert np.array_equal(getattr(ratings, name), getattr(before, name))


def test_save_and_load_give_the_same_bits(model: Recommender, tmp_path: Path) -> None:
    factors = model.fit(planted()[0])
    factors.save(tmp_path / "factors")
    assert same_bits(factors, Factors.load(tmp_path / "factors"))


def test_predictions_are_sound_for_known_and_unknown(model: Recommender) -> None:
    check_sound(model.fit(planted(n_users=30, n_items=20)[0]), Scale(1, 5))


def test_cold_rows_are_predicted_by_what_is_known_of_the_other_side(model: Recommender) -> None:
    """User 4 and item 4 have no ratings: they get what an unknown user or item gets."""
    users, items = np.divmod(np.arange(16), 4)
    factors = model.fit(make(users, items, 1 + items % 5, (5, 5)))
    everyone = np.arange(4, dtype=np.int32)

    def agree(users: np.ndarray, items: np.ndarray, unknown: np.ndarray) -> bool:
        # Draws of a row of whom nothing is known are around zero, within their sampling error.
        error = 4 * factors.deviation(users, items) / np.sqrt(factors.n_draws)
        return bool((np.abs(factors.predict(users, items) - unknown) <= 1e-6 + error).all())

    cold, unknown = np.full(4, 4, np.int32), np.full(4, -1, np.int32)
    assert agree(cold, everyone, factors.predict(unknown, everyone))
    if model.algorithm != "most_popular":
        assert agree(everyone, cold, factors.predict(everyone, unknown))
    if model.algorithm not in ("global_mean", "most_popular"):
        assert (np.diff(factors.predict(unknown, everyone)) > 0).all(), "item biases still count for a cold user"


EDGES: dict[str, Ratings] = {
    "no ratings": make([], [], [], (3, 2)),
    "nobody and nothing": make([], [], [], (0, 0)),
    "one rating": make([0], [0], [4], (1, 1)),
    "one user": make([0, 0, 0], [0, 1, 2], [1, 3, 5], (1, 3)),
    "one item": make([0, 1, 2], [0, 0, 0], [1, 3, 5], (3, 1)),
    "constant ratings": make(*np.divmod(np.arange(12), 3), np.full(12, 3), (4, 3)),
    "gaps in codes": make([1, 5, 5, 8], [0, 0, 7, 7], [5, 1, 2, 4], (10, 9)),
}


@pytest.mark.parametrize("edge", EDGES)
def test_edges(model: Recommender, edge: str) -> None:
    ratings = EDGES[edge]
    factors = model.fit(ratings)
    assert factors.user_factors.shape[0] == ratings.n_users
    assert factors.item_factors.shape[0] == ratings.n_items
    check_sound(factors, ratings.scale)
    if edge == "constant ratings":
        near = 0.3 if model.algorithm == "bpmf" else 0.02  # a dozen ratings leave draws far apart
        assert np.allclose(factors.predict(ratings.users, ratings.items), 3, atol=near)


@pytest.mark.parametrize("scale", [Scale(0.5, 5, 0.5), Scale(-10, 10), Scale(0, 100)])
def test_any_scale(model: Recommender, scale: Scale) -> None:
    ratings, _ = planted()
    stretch = scale.width / 4
    stretched = make(ratings.users, ratings.items, scale.minimum + (ratings.values - 1) * stretch, (200, 120), scale)
    check_sound(model.fit(stretched), scale)
