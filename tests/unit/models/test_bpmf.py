import numpy as np
import pytest

from mfcore.metrics import rmse
from mfcore.models import ALS, BPMF
from mfcore.models.bpmf import _wishart_root
from tests.contract.synthetic import synthetic_ratings


def test_deviation_is_the_spread_of_the_draws_scores() -> None:
    ratings, truth = synthetic_ratings(n_users=40, n_items=30)
    factors = BPMF(n_factors=3, n_epochs=20, burn_in=5, n_draws=7).train(ratings)
    assert factors.n_draws == 4, "fifteen draws, thinned until seven are enough"
    users, items = truth.users[:20], truth.items[:20]
    width = factors.n_factors // factors.n_draws
    x, y = factors.user_factors[users].astype(float), factors.item_factors[items].astype(float)
    parts = [slice(draw * width, (draw + 1) * width) for draw in range(factors.n_draws)]
    draws = [factors.n_draws * (x[:, part] * y[:, part]).sum(1) for part in parts]
    assert factors.deviation(users, items) == pytest.approx(np.std(draws, axis=0), abs=1e-4)
    assert (ALS(n_factors=2).train(ratings).deviation(users, items) == 0).all()


def test_draws_are_apart_where_little_is_known() -> None:
    """The scores' spread falls with the number of ratings, and has the size of the true errors."""
    ratings, truth = synthetic_ratings(n_users=120, n_items=80, density=0.25, noise=0.3)
    thin = ratings.take(np.flatnonzero((ratings.users >= 60) | (ratings.items % 6 == 0)))
    factors = BPMF(n_factors=2, n_epochs=150, burn_in=30).train(thin)
    deviations = factors.deviation(truth.users, truth.items)
    errors = np.abs(factors.predict(truth.users, truth.items) - truth.values)
    few = truth.users < 60
    assert deviations[few].mean() > 1.5 * deviations[~few].mean()
    for some in (few, ~few):
        assert 0.5 < errors[some].mean() / (0.8 * deviations[some].mean()) < 2


def test_the_mean_beats_the_mode_on_noisy_ratings() -> None:
    ratings, truth = synthetic_ratings(density=0.1, noise=0.6)

    def error(model: ALS | BPMF) -> float:
        return rmse(model.train(ratings).predict(truth.users, truth.items), truth.values)

    best_mode = min(error(ALS(n_factors=2, reg_exponent=0, reg_user=reg, reg_item=reg)) for reg in (0.3, 1, 3, 10))
    assert error(BPMF(n_factors=2)) < best_mode


def test_wishart_draws_have_the_right_mean() -> None:
    random = np.random.default_rng(0)
    scale = np.array([[2.0, 0.5], [0.5, 1.0]])
    roots = [_wishart_root(random, np.linalg.inv(scale), 7) for _ in range(4000)]
    mean = np.mean([root @ root.T for root in roots], axis=0)
    assert mean == pytest.approx(7 * scale, abs=0.3)
