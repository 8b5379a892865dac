import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from mfcore.metrics import mae, rmse

floats = st.floats(-100, 100, width=32)


@given(st.lists(st.tuples(floats, floats), min_size=1))
def test_agree_with_sklearn(pairs: list[tuple[float, float]]) -> None:
    predicted, actual = np.array(pairs, np.float32).T
    assert math.isclose(rmse(predicted, actual), root_mean_squared_error(actual.astype(float), predicted), abs_tol=1e-9)
    assert math.isclose(mae(predicted, actual), mean_absolute_error(actual.astype(float), predicted), abs_tol=1e-9)


def test_sums_are_taken_in_float64() -> None:
    """In float32 ten million small errors beside a large one would be lost."""
    predicted = np.full(10_000_000, 0.01, np.float32)
    predicted[0] = 3000
    expected = math.sqrt((9e6 + (len(predicted) - 1) * float(np.float32(0.01)) ** 2) / len(predicted))
    assert math.isclose(rmse(predicted, np.zeros_like(predicted)), expected, rel_tol=1e-9)


def test_no_ratings_have_no_error() -> None:
    nothing = np.empty(0, np.float32)
    assert math.isnan(rmse(nothing, nothing)) and math.isnan(mae(nothing, nothing))
