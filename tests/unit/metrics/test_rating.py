import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from mfcore.data.ratings import Scale
from mfcore.metrics import Bootstrap, mae, rmse
from mfcore.metrics.rating import calibration_bins, calibration_edges, rating_statistics

floats = st.floats(-100, 100, width=32)


def figures(users: object, predicted: object, actual: object, **shares: object) -> dict[str, float]:
    """The value of each statistic."""
    codes, p, a = np.asarray(users), np.asarray(predicted, np.float32), np.asarray(actual, np.float32)
    none = np.zeros(len(codes), np.bool_)
    flags = [np.asarray(shares.get(name, none), np.bool_) for name in ("clipped", "cold")]
    n_users = int(codes.max()) + 1
    found = rating_statistics(codes, n_users, p, a, *flags)
    values = Bootstrap(n_users).estimate(found.values())
    return {name: one.value for name, one in zip(found, values, strict=True)}


@given(st.lists(st.tuples(floats, floats), min_size=1))
def test_agree_with_sklearn(pairs: list[tuple[float, float]]) -> None:
    predicted, actual = np.array(pairs, np.float32).T
    assert math.isclose(rmse(predicted, actual), root_mean_squared_error(actual.astype(float), predicted), abs_tol=1e-9)
    assert math.isclose(mae(predicted, actual), mean_absolute_error(actual.astype(float), predicted), abs_tol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_all_and_per_user_figures_agree_with_sklearn(seed: int) -> None:
    random = np.random.default_rng(seed)
    users, actual = random.integers(0, 30, 500), random.integers(1, 6, 500).astype(np.float32)
    predicted = np.clip(actual + random.normal(0, 1, 500), 1, 5).astype(np.float32)
    found = figures(users, predicted, actual)
    p, a = predicted.astype(float), actual.astype(float)
    assert found["rmse"] == pytest.approx(root_mean_squared_error(a, p))
    assert found["mae"] == pytest.approx(mean_absolute_error(a, p))
    assert found["r2"] == pytest.approx(r2_score(a, p))
    assert found["mean_error"] == pytest.approx((p - a).mean())
    each = [users == user for user in np.unique(users)]
    assert found["user_rmse"] == pytest.approx(np.mean([root_mean_squared_error(a[own], p[own]) for own in each]))
    assert found["user_mae"] == pytest.approx(np.mean([mean_absolute_error(a[own], p[own]) for own in each]))


def test_by_hand() -> None:
    """Errors −1 and 0 of the one user, +2 of the other; ratings 5, 3, 3 lie 2.67 about their mean in squares."""
    found = figures([0, 0, 1], [4, 3, 5], [5, 3, 3], clipped=[False, False, True], cold=[True, True, False])
    assert found["rmse"] == pytest.approx(math.sqrt(5 / 3))
    assert found["mae"] == pytest.approx(1)
    assert found["r2"] == pytest.approx(1 - 5 / (8 / 3))
    assert found["mean_error"] == pytest.approx(1 / 3)
    assert found["user_rmse"] == pytest.approx((math.sqrt(1 / 2) + 2) / 2)
    assert found["user_mae"] == pytest.approx((1 / 2 + 2) / 2)
    assert (found["clipped"], found["cold"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_replicates_of_r2_have_a_mean_of_their_own() -> None:
    random = np.random.default_rng(0)
    users, actual = np.repeat(np.arange(40), 5), np.repeat(random.normal(0, 3, 40), 5).astype(np.float32)
    predicted = (actual + random.normal(0, 1, 200)).astype(np.float32)
    bootstrap = Bootstrap(40)
    none = np.zeros(200, np.bool_)
    (found,) = bootstrap.estimate([rating_statistics(users, 40, predicted, actual, none, none)["r2"]])
    for replicate in (0, 500, 999):
        rows = np.repeat(np.arange(200), bootstrap.drawn[replicate][users])
        assert found.replicates[replicate] == pytest.approx(r2_score(actual[rows], predicted[rows]), abs=1e-5)


def test_equal_ratings_have_no_share_of_variance_to_explain() -> None:
    found = rating_statistics(np.zeros(2, int), 1, *np.array([[3, 4], [3, 3]], np.float32), *np.zeros((2, 2), bool))
    (r2,) = Bootstrap(1).estimate([found["r2"]])
    assert math.isnan(r2.value)
    assert r2.unknown == "all test ratings are the same"


@given(st.lists(st.floats(-10, 10, width=32), min_size=1))
def test_a_prediction_lies_in_the_bin_between_its_edges(values: list[float]) -> None:
    predicted, scale = np.array(values, np.float32), Scale(-10, 10)
    bins, edges = calibration_bins(predicted, scale), calibration_edges(scale)
    assert (edges[bins] <= predicted).all()
    assert (predicted <= edges[bins + 1]).all()


def test_sums_are_taken_in_float64() -> None:
    """In float32 ten million small errors beside a large one would be lost."""
    predicted = np.full(10_000_000, 0.01, np.float32)
    predicted[0] = 3000
    expected = math.sqrt((9e6 + (len(predicted) - 1) * float(np.float32(0.01)) ** 2) / len(predicted))
    assert math.isclose(rmse(predicted, np.zeros_like(predicted)), expected, rel_tol=1e-9)


def test_no_ratings_have_no_error() -> None:
    nothing = np.empty(0, np.float32)
    assert math.isnan(rmse(nothing, nothing)) and math.isnan(mae(nothing, nothing))
