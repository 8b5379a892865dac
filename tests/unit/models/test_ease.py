import numpy as np
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import UsageError
from mfcore.models import EASE
from tests.contract.synthetic import synthetic_ratings


def reference(ratings: Ratings, reg: float, rating: float) -> np.ndarray:
    """Each item by ridge regression on all others, one at a time."""
    z = np.zeros((ratings.n_users, ratings.n_items))
    z[ratings.users, ratings.items] = ratings.values.astype(float) - rating
    weights = np.zeros((ratings.n_items, ratings.n_items))
    for item in range(ratings.n_items):
        others = np.arange(ratings.n_items) != item
        system = z[:, others].T @ z[:, others] + reg * np.eye(others.sum())
        weights[others, item] = np.linalg.solve(system, z[:, others].T @ z[:, item])
    return rating + z @ weights


@pytest.mark.parametrize("rating", [0.0, -1.5, 2.0])
def test_full_rank_is_ridge_regression_of_each_item_on_all_others(rating: float) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=25)
    factors = EASE(n_factors=25, reg=30, missing_rating=rating).train(ratings)
    everyone = np.arange(60, dtype=np.int32)
    # Popularity, at its least, orders ties.
    bias = 4e-4 * np.log1p(np.bincount(ratings.items, minlength=25))
    expected = reference(ratings, 30 * ratings.values.var(dtype=np.float64), rating) + bias
    assert factors.scores(everyone) == pytest.approx(expected, abs=2e-4)


def test_fewer_factors_are_the_best_approximation_of_the_weights() -> None:
    ratings, _ = synthetic_ratings(n_users=80, n_items=60)
    full, pair = (EASE(n_factors=k, reg=30).train(ratings) for k in (60, 10))
    weights, compressed = (one.item_factors @ one.parts[0].basis.T for one in (full, pair))  # type: ignore[union-attr]
    values = np.linalg.svd(weights.astype(float), compute_uv=False)
    assert np.linalg.norm(weights - compressed) < 1.02 * np.sqrt((values[10:] ** 2).sum())


def test_a_new_user_is_a_product() -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = EASE(n_factors=12).train(ratings)
    for user in range(0, 60, 7):
        theirs = ratings.users == user
        new = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        assert new.user_factors[0] == pytest.approx(factors.user_factors[user], abs=1e-4)
        assert new.user_bias[0] == 0


def test_too_many_items_are_refused_with_a_way_out() -> None:
    none = np.empty(0, np.int32)
    many = Ratings(none, none, np.empty(0, np.float32), None, np.arange(2), np.arange(20_001), Scale(1, 5, 1))
    with pytest.raises(UsageError, match=r"20,000 items at most, not 20,001: .*als with missing_weight"):
        EASE().train(many)
