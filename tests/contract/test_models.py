"""What every trainer promises, whatever its algorithm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.ratings import Scale
from mfcore.metrics import rmse
from mfcore.models import (
    ALS,
    BPMF,
    EASE,
    MODELS,
    PMF,
    SGD,
    BiasOnly,
    Blend,
    GlobalMean,
    ItemKNN,
    MostPopular,
    Recommender,
)
from mfcore.models.lists import top_items
from mfcore.testing import check_recommender, same_bits
from tests.contract.synthetic import make, synthetic_ratings

LEARNERS: dict[str, Recommender] = {
    "als": ALS(n_factors=2, reg_user=0.01, reg_item=0.01, n_epochs=20),
    "sgd": SGD(n_factors=2, reg_user=0.01, reg_item=0.01, n_epochs=60),
    "adam": SGD(
        optimizer="adam", n_factors=2, learning_rate=0.02, decay=0.95, reg_user=0.003, reg_item=0.003, n_epochs=60
    ),
    "pmf, fixed priors": PMF(n_factors=2, priors="fixed", reg_user=0.2, reg_item=0.2, n_epochs=20),
    "pmf, one variance a side": PMF(n_factors=2, priors="spherical"),
    "pmf, one variance a dimension": PMF(n_factors=6, priors="diagonal"),
    "bpmf": BPMF(n_factors=2, n_epochs=60),
}
"""With hyper-parameters that suit the synthetic ratings: little noise, two factors."""

OTHERS: dict[str, Recommender] = {
    "als, not negative": ALS(n_factors=5, nonnegative=True, reg_user=0.3, reg_item=0.3, n_epochs=15),
    "pmf, logistic": PMF(n_factors=5, link="logistic"),
    "pmf, logistic, fixed priors": PMF(n_factors=5, link="logistic", priors="fixed"),
    "item kNN": ItemKNN(n_factors=20, n_neighbors=30),
    "blend": Blend(members=(ALS(n_factors=2), PMF(n_factors=2), ItemKNN(n_factors=8))),
    "mean": GlobalMean(),
    "biases": BiasOnly(),
    "popular": MostPopular(),
}

FOR_LISTS: dict[str, Recommender] = {
    "als, for lists": ALS(n_factors=4, missing_weight=0.3),
    "als, not negative, for lists": ALS(n_factors=4, missing_weight=0.3, nonnegative=True),
    "sgd, for lists": SGD(n_factors=4, missing_weight=0.3, learning_rate=0.02, n_epochs=10),
    "pmf, for lists": PMF(n_factors=4, missing_weight=0.3, n_epochs=10),
    "bpmf, for lists": BPMF(n_factors=4, missing_weight=0.3, n_epochs=25),
    "ease": EASE(n_factors=20, reg=2000),
    "als, popular": ALS(n_factors=4, popularity_weight=0.2),
    "item kNN, popular": ItemKNN(n_factors=20, n_neighbors=30, popularity_weight=0.2),
    "blend, for lists": Blend(members=(ALS(n_factors=2, missing_weight=0.3), EASE(n_factors=8)), objective="ranking"),
}
"""Scores of these order lists; they are no ratings."""

MODELS_UNDER_CONTRACT = LEARNERS | OTHERS | FOR_LISTS


def is_for_lists(model: Recommender) -> bool:
    return model in FOR_LISTS.values()


@pytest.fixture(params=MODELS_UNDER_CONTRACT)
def model(request: pytest.FixtureRequest) -> Recommender:
    return MODELS_UNDER_CONTRACT[request.param]


def test_every_algorithm_is_under_contract() -> None:
    # als-spark is, where Spark is: tests/unit/models/test_als_spark.py.
    here = {model for model in MODELS.values() if not model.elsewhere}
    assert {type(one) for one in MODELS_UNDER_CONTRACT.values()} == here


def test_it_keeps_the_contract(model: Recommender) -> None:
    check_recommender(model)


@pytest.mark.parametrize("name", LEARNERS)
def test_recovers_true_factors(name: str) -> None:
    ratings, truth = synthetic_ratings()
    factors = LEARNERS[name].train(ratings)
    error = rmse(factors.predict(truth.users, truth.items), truth.values)
    # Noise of 0.1 over ~80 ratings per row and ~6 unknowns per pair of rows leaves about 0.04.
    assert error < 0.08
    biases = BiasOnly().train(ratings)
    assert error < 0.2 * rmse(biases.predict(truth.users, truth.items), truth.values)


@pytest.mark.parametrize("name", [*LEARNERS, "pmf, logistic", "als, not negative", "item kNN", "blend"])
def test_beats_biases(name: str) -> None:
    ratings, truth = synthetic_ratings()
    factors = MODELS_UNDER_CONTRACT[name].train(ratings)
    biases = BiasOnly().train(ratings)
    errors = [rmse(one.predict(truth.users, truth.items), truth.values) for one in (factors, biases)]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("name", LEARNERS)
def test_another_seed_is_another_start_and_as_good(name: str) -> None:
    ratings, truth = synthetic_ratings()
    fits = [LEARNERS[name].model_copy(update={"seed": seed}).train(ratings) for seed in (1, 2)]
    assert not same_bits(*fits)
    assert all(rmse(factors.predict(truth.users, truth.items), truth.values) < 0.08 for factors in fits)


def test_items_without_ratings_are_predicted_by_what_is_known_of_the_user(model: Recommender) -> None:
    """User 4 and item 4 have no ratings: item biases still count for that user."""
    users, items = np.divmod(np.arange(16), 4)
    factors = model.train(make(users, items, 1 + items % 5, (5, 5)))
    everyone = np.arange(4, dtype=np.int32)
    cold, unknown = np.full(4, 4, np.int32), np.full(4, -1, np.int32)
    if model.algorithm != "most_popular":
        # Draws of a row of which nothing is known are around zero, within their sampling error.
        near = 1e-4 + 4 * factors.deviation(everyone, cold) / np.sqrt(factors.n_draws)
        assert (np.abs(factors.predict(everyone, cold) - factors.predict(everyone, unknown)) <= near).all()
    if model.algorithm not in ("global_mean", "most_popular") and model != OTHERS["blend"]:
        assert (np.diff(factors.predict(unknown, everyone)) > 0).all()


def test_constant_ratings_are_predicted(model: Recommender) -> None:
    ratings = make(*np.divmod(np.arange(12), 3), np.full(12, 3), (4, 3))
    if not is_for_lists(model):
        near = 0.3 if model.algorithm == "bpmf" else 0.02  # a dozen ratings leave draws far apart
        predicted = model.train(ratings).predict(ratings.users, ratings.items)
        assert np.allclose(predicted, 3, atol=near)


UNITS = [
    name
    for name, model in MODELS_UNDER_CONTRACT.items()
    # Fitted again on a part of the ratings, whose spread differs: not the same power of two of it.
    if not isinstance(model, Blend)
]


@settings(max_examples=4, deadline=None)
@given(unit=st.floats(-6, 6).map(lambda power: 10.0**power), minimum=st.floats(-100, 100))
@pytest.mark.parametrize("name", UNITS)
def test_the_unit_of_the_ratings_does_not_matter(name: str, unit: float, minimum: float) -> None:
    """On any scale, a tiny or a negative one as well, the same predictions in its unit."""
    model, (ratings, truth) = MODELS_UNDER_CONTRACT[name], synthetic_ratings(n_users=50, n_items=40)
    scale = Scale(minimum * unit, (minimum + 4) * unit)
    other = make(ratings.users, ratings.items, (minimum + ratings.values - 1.0) * unit, (50, 40), scale)
    params = {}
    if getattr(model, "missing_weight", 0) or model.algorithm == "ease":
        params["missing_rating"] = (minimum - 1) * unit
    if getattr(model, "popularity_weight", 0):
        params["popularity_weight"] = model.popularity_weight * unit  # type: ignore[attr-defined]
    pairs = truth.users, truth.items
    model = model.model_copy(update={"n_epochs": min(model.n_epochs, 8)})
    expected = model.train(ratings).pair_scores(*pairs)
    found = model.model_copy(update=params).train(other).pair_scores(*pairs) / unit - minimum + 1
    near = 0.05 if model.algorithm == "bpmf" else 5e-3  # rounding of ratings up to 100 units away
    if "logistic" not in name:
        assert found == pytest.approx(expected, abs=near)


@pytest.mark.parametrize("name", FOR_LISTS)
def test_somebody_unknown_gets_the_most_popular_items_and_their_mean_ratings(name: str) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=40, density=0.3)
    factors = FOR_LISTS[name].train(ratings)
    counts = np.bincount(ratings.items, minlength=40)
    if not (name == "als, popular" or name.startswith("item kNN")):
        listed, _ = top_items(factors, np.array([-1], np.int32), 40)
        assert (np.diff(counts[listed[0]]) <= 0).all()
    items = np.arange(40, dtype=np.int32)
    sums = np.bincount(ratings.items, weights=ratings.values, minlength=40)
    predicted = factors.predict(items * 0 - 1, items)
    assert predicted == pytest.approx((sums + 2 * ratings.values.mean()) / (counts + 2), abs=1e-4)


def test_what_a_new_user_liked_raises_its_score(model: Recommender) -> None:
    """Unless the model knows no users."""
    ratings, _ = synthetic_ratings()
    factors = model.train(ratings)
    liked = np.arange(10, dtype=np.int32)
    new = factors.fold_in(liked, np.full(10, 5, np.float32))
    me = np.zeros(10, np.int32)
    gain = new.pair_scores(me, liked) - factors.pair_scores(me - 1, liked)
    assert (gain.mean() > 0.3) == (model.algorithm not in ("global_mean", "most_popular"))
