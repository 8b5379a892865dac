"""Pairs without a rating as weak ratings: dense references, written by the letter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import UsageError
from mfcore.models import ALS, BPMF, PMF, SGD, Factors, Recipe, Recommender
from mfcore.models.kernels.threads import n_threads, threads
from mfcore.models.lists import top_items
from mfcore.testing import same_bits
from tests.contract.synthetic import make, synthetic_ratings


def dense(ratings: Ratings) -> tuple[np.ndarray, np.ndarray]:
    """Ratings as a matrix, and which of them there are."""
    matrix, rated = np.zeros((ratings.n_users, ratings.n_items)), np.zeros((ratings.n_users, ratings.n_items), bool)
    matrix[ratings.users, ratings.items], rated[ratings.users, ratings.items] = ratings.values, True
    return matrix, rated


def objective(factors: Factors, ratings: Ratings, model: ALS) -> float:
    """`ALS`'s docstring by the letter, over every pair."""
    matrix, rated = dense(ratings)
    x, y = factors.user_factors.astype(float), factors.item_factors.astype(float)
    spread = float(np.std(ratings.values, dtype=np.float64))
    inner = x @ y.T
    fit = np.where(rated, (matrix - model.missing_rating - inner) ** 2, model.missing_weight * inner**2).sum()
    penalty = (rated.sum(1) ** model.reg_exponent) @ (x**2).sum(1) * model.reg_user
    penalty += (rated.sum(0) ** model.reg_exponent) @ (y**2).sum(1) * model.reg_item
    return float(fit + spread * penalty)


@pytest.mark.parametrize("n_factors", [1, 7, 16, 40])
@pytest.mark.parametrize(("weight", "rating"), [(0.02, 0.0), (0.3, -0.5), (1.0, 2.0)])
def test_rows_solve_the_weighted_least_squares_over_all_pairs(n_factors: int, weight: float, rating: float) -> None:
    """Each user's row, trained and folded in, against a solve in float64 with a weight for every item."""
    ratings, _ = synthetic_ratings(n_users=60, n_items=50, density=0.3)
    model = ALS(n_factors=n_factors, reg_user=0.4, reg_item=0.3, missing_weight=weight, missing_rating=rating)
    factors = model.model_copy(update={"n_epochs": 3}).train(ratings)
    matrix, rated = dense(ratings)
    y = factors.item_factors.astype(float)
    spread = float(np.std(ratings.values, dtype=np.float64))
    assert factors.global_mean == rating and not factors.user_bias.any()
    for user in range(0, 60, 7):
        weights = np.where(rated[user], 1.0, weight)
        target = np.where(rated[user], matrix[user] - rating, 0.0)
        ridge = 0.4 * spread * rated[user].sum() ** model.reg_exponent * np.eye(n_factors)
        expected = np.linalg.solve((y.T * weights) @ y + ridge, (y.T * weights) @ target)
        assert factors.user_factors[user] == pytest.approx(expected, abs=2e-4)
        theirs = ratings.users == user
        folded = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        assert folded.user_factors[0] == pytest.approx(factors.user_factors[user], abs=1e-4)
        assert folded.user_bias[0] == 0


@pytest.mark.parametrize("nonnegative", [False, True])
def test_the_objective_over_all_pairs_never_rises(nonnegative: bool) -> None:
    ratings, _ = synthetic_ratings()
    model = ALS(n_factors=5, reg_user=0.1, reg_item=0.2, missing_weight=0.3, missing_rating=1, nonnegative=nonnegative)
    training, values = model.begin(ratings), []
    for _ in range(10):
        training.step()
        values.append(objective(training.factors(), ratings, model))
    assert (np.diff(values) <= 1e-6 * values[0]).all() and values[-1] < values[0]


@pytest.mark.parametrize("priors", ["fixed", "diagonal"])
def test_pmf_solves_the_same_with_variances_of_all_pairs(priors: str) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = PMF(n_factors=5, n_epochs=12, priors=priors, missing_weight=0.2, missing_rating=0.5).train(ratings)
    matrix, rated = dense(ratings)
    part, y = factors.parts[0], factors.item_factors.astype(float)
    variance = part.item_variance.astype(float) if part.item_variance is not None else np.zeros_like(y)
    for user in range(0, 60, 7):
        weights = np.where(rated[user], 1.0, 0.2)
        system = (y.T * weights) @ y + np.diag(weights @ variance) + part.precision[:5, :5]
        expected = np.linalg.solve(system, y.T @ np.where(rated[user], matrix[user] - 0.5, 0.0))
        assert factors.user_factors[user] == pytest.approx(expected, abs=2e-4)


def test_noise_of_pmf_counts_all_pairs() -> None:
    """The error that kernels add up from ratings and two products is the sum over every pair."""
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    training = PMF(n_factors=3, priors="fixed", missing_weight=0.2, missing_rating=0.5).begin(ratings)
    training.step()
    factors = training.factors()
    matrix, rated = dense(ratings)
    inner = factors.user_factors.astype(float) @ factors.item_factors.T.astype(float)
    expected = np.where(rated, (matrix - 0.5 - inner) ** 2, 0.2 * inner**2).sum() / ratings.values.var(dtype=np.float64)
    error, weight = training.squared_error()  # type: ignore[attr-defined]
    assert error == pytest.approx(expected, rel=1e-4)
    assert weight == pytest.approx(np.where(rated, 1, 0.2).sum())


WEAK: dict[str, Recommender] = {
    "als": ALS(n_factors=5, missing_weight=0.3, n_epochs=12),
    "als, not negative": ALS(n_factors=5, missing_weight=0.3, nonnegative=True, n_epochs=30),
    "pmf": PMF(n_factors=5, missing_weight=0.3, n_epochs=20),
    "pmf, fixed": PMF(n_factors=5, missing_weight=0.3, priors="fixed", n_epochs=20),
    "bpmf": BPMF(n_factors=5, missing_weight=0.3, n_epochs=40),
    "sgd": SGD(n_factors=5, missing_weight=0.3, learning_rate=0.01, reg_user=0.02, reg_item=0.02, n_epochs=60),
}


@pytest.mark.parametrize("name", WEAK)
def test_all_algorithms_find_what_is_rated(name: str) -> None:
    """People in two groups that rate different halves of the items: each is listed the rest of its own half."""
    random = np.random.default_rng(0)
    users, items = np.nonzero((np.arange(60)[:, None] % 2 == np.arange(40) % 2) & (random.random((60, 40)) < 0.5))
    ratings = make(users, items, random.integers(3, 6, len(users)), (60, 40), Scale(1, 5, 1))
    factors = WEAK[name].train(ratings)
    everyone = np.arange(60, dtype=np.int32)
    listed, _ = top_items(factors, everyone, 10)
    assert (listed % 2 == everyone[:, None] % 2).mean() > 0.99
    assert factors.scores(everyone).std() > 0.5


def test_sgd_comes_near_the_minimum_that_als_finds() -> None:
    """Its λ per rating is ALS's with γ = 1."""
    ratings, _ = synthetic_ratings(n_users=60, n_items=40)
    shared = {"n_factors": 3, "missing_weight": 0.2, "missing_rating": 0.0, "reg_user": 0.05, "reg_item": 0.05}
    model = ALS(**shared, reg_exponent=1, n_epochs=60)
    sgd = SGD(**shared, learning_rate=0.01, decay=0.98, n_epochs=250).train(ratings)
    least, start = (
        objective(one, ratings, model) for one in (model.train(ratings), SGD(**shared, n_epochs=0).train(ratings))
    )
    assert objective(sgd, ratings, model) < least + 0.01 * (start - least)


@settings(max_examples=15, deadline=None)
@given(weight=st.floats(0.01, 1), rating=st.floats(-2, 3), n_factors=st.integers(1, 20), seed=st.integers(0, 99))
def test_folding_in_a_trained_user_gives_their_row(weight: float, rating: float, n_factors: int, seed: int) -> None:
    ratings, _ = synthetic_ratings(n_users=25, n_items=20, seed=seed)
    model = ALS(n_factors=n_factors, n_epochs=2, missing_weight=weight, missing_rating=rating)
    factors, theirs = model.train(ratings), ratings.users == 3
    folded = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
    assert folded.user_factors[0] == pytest.approx(factors.user_factors[3], abs=1e-4)


@pytest.mark.parametrize(
    "model", [PMF(n_factors=4, missing_weight=0.3), PMF(n_factors=4, missing_weight=0.3, priors="fixed")]
)
def test_pmf_folds_in_its_own_rows(model: PMF) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = model.model_copy(update={"n_epochs": 15}).train(ratings)
    for user in range(0, 60, 9):
        theirs = ratings.users == user
        folded = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        assert folded.user_factors[0] == pytest.approx(factors.user_factors[user], abs=1e-4)


def test_a_sampled_model_folds_in_near_its_own_rows() -> None:
    ratings, _ = synthetic_ratings(n_users=80, n_items=60)
    factors = BPMF(n_factors=3, n_epochs=80, missing_weight=0.3).train(ratings)
    theirs = ratings.users == 7
    new = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
    apart = new.scores(np.zeros(1, np.int32)) - factors.scores(np.array([7], np.int32))
    assert np.sqrt(np.mean(apart**2)) < 0.1


@pytest.mark.parametrize("name", WEAK)
def test_same_bits_whatever_the_number_of_threads(name: str) -> None:
    ratings, _ = synthetic_ratings(n_users=120, n_items=90)
    fits = []
    for n in sorted({1, min(2, n_threads()), n_threads()}):
        with threads(n):
            fits.append(WEAK[name].train(ratings))
    assert all(same_bits(fits[0], other) for other in fits[1:])


@pytest.mark.parametrize("nonnegative", [False, True])
def test_als_continues_exactly_where_it_stopped(nonnegative: bool) -> None:
    ratings, _ = synthetic_ratings()
    model = ALS(n_factors=5, n_epochs=9, missing_weight=0.2, popularity_weight=0.1, nonnegative=nonnegative)
    half = model.model_copy(update={"n_epochs": 4}).train(ratings)
    assert same_bits(model.partial_fit(half, ratings, n_epochs=5), model.train(ratings))


def test_without_weight_the_missing_rating_is_of_no_account() -> None:
    ratings, _ = synthetic_ratings()
    for model in (ALS(n_factors=3), PMF(n_factors=3, n_epochs=5), BPMF(n_factors=3, n_epochs=5), SGD(n_epochs=5)):
        assert same_bits(model.train(ratings), model.model_copy(update={"missing_rating": 2.5}).train(ratings))


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("model", [ALS, PMF, BPMF, SGD])
def test_weights_that_are_no_share_are_refused(model: type[Recommender], weight: float) -> None:
    with pytest.raises(ValidationError, match="missing_weight"):
        model(missing_weight=weight)
    with pytest.raises(ValidationError, match="missing_rating"):
        model(missing_rating=float("inf"))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(UsageError, match="no missing_weight and no popularity_weight"):
        Recipe(algorithm="pmf", params={"link": "logistic", "missing_weight": 0.2}).build()
    with pytest.raises(UsageError, match="optimizer sgd only"):
        Recipe(algorithm="sgd", params={"optimizer": "adam", "missing_weight": 0.2}).build()
