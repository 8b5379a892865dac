from dataclasses import replace

import numpy as np
import pytest

from mfcore.config import DriftConfig
from mfcore.data.drift import compare, histogram
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize

STARS = Scale(1, 5, 1)


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return Ratings.from_frame(synthesize(100, 60, 2000).frame, STARS)


def observed(drift, measure):
    return next(one for one in drift.results if one["measure"] == measure)


def test_nothing_changed(ratings):
    drift = compare(ratings, ratings, DriftConfig(size=0, mean=0, histogram=0, new_users=0, new_items=0))
    assert all(one["success"] and one["observed"] == 0 for one in drift.results)
    assert drift.warnings == drift.problems == []


def test_each_measure_is_what_it_says(ratings):
    frame = ratings.to_frame().iloc[:1000]
    frame = frame.assign(rating=5.0, user_id=frame["user_id"] + 50)
    current = Ratings.from_frame(frame, STARS)
    drift = compare(ratings, current, DriftConfig())
    assert observed(drift, "size")["observed"] == -0.5
    expected = (5 - ratings.values.mean(dtype=np.float64)) / 4
    assert observed(drift, "mean")["observed"] == pytest.approx(expected, abs=1e-6)
    new = {one for one in current.user_ids.tolist() if one > 100}
    assert observed(drift, "new_users")["observed"] == pytest.approx(len(new) / current.n_users, abs=1e-6)
    assert observed(drift, "new_items")["observed"] == 0


def test_the_stability_index_of_a_known_pair(ratings):
    before = replace(ratings, values=np.repeat(np.float32([1, 2, 3, 4, 5]), 400))
    after = replace(ratings, values=np.repeat(np.float32([1, 2, 3, 4, 5]), [200, 600, 400, 400, 400]))
    expected = (0.1 - 0.2) * np.log(0.1 / 0.2) + (0.3 - 0.2) * np.log(0.3 / 0.2)
    assert observed(compare(before, after, DriftConfig()), "histogram")["observed"] == pytest.approx(expected, abs=1e-6)


def test_beyond_a_limit_is_a_warning_or_stops_the_run(ratings):
    current = replace(ratings, values=np.full_like(ratings.values, 5))
    drift = compare(ratings, current, DriftConfig(stop_on="histogram"))
    assert [one.split(",")[0] for one in drift.warnings] == [
        f"drift: a mean rating of 5.000 after {ratings.values.mean(dtype=np.float64):.3f}"
    ]
    (problem,) = drift.problems
    assert "beyond drift.histogram = 0.2" in problem


def test_ids_that_turned_into_text_are_the_same_ids(ratings):
    frame = ratings.to_frame()
    frame["user_id"] = frame["user_id"].astype(str).astype(object)
    assert Ratings.from_frame(frame, STARS).user_ids.dtype == np.int64  # integers however they are written
    n_known = frame["user_id"].nunique()
    frame.loc[len(frame)] = ["x1", *frame.iloc[0, 1:]]
    current = Ratings.from_frame(frame, STARS)
    assert current.user_ids.dtype == object
    share = observed(compare(ratings, current, DriftConfig()), "new_users")["observed"]
    assert share == pytest.approx(1 / (n_known + 1), abs=1e-6)


@pytest.mark.parametrize(
    ("scale", "values", "expected"),
    [
        (STARS, [1, 5, 5, 3], {"1": 0.25, "2": 0, "3": 0.25, "4": 0, "5": 0.5}),
        (Scale(0.5, 1.5, 0.5), [0.5, 1.5, 1.5, 1.0], {"0.5": 0.25, "1": 0.25, "1.5": 0.5}),
        (Scale(-10, 10), [-10, 10, 9.99, 0], {"-10 to -8": 0.25, "0 to 2": 0.25, "8 to 10": 0.5}),
    ],
)
def test_a_histogram_has_a_bin_for_each_value_or_ten_ranges(ratings, scale, values, expected):
    some = replace(ratings, values=np.float32(values), scale=scale)
    names, shares = histogram(some, scale)
    found = dict(zip(names, shares.tolist(), strict=True))
    assert {name: found[name] for name in expected} == expected
    assert shares.sum() == pytest.approx(1)


def test_an_unknown_measure_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown measure 'histogramm'; did you mean 'histogram'"):
        DriftConfig(stop_on="histogramm,mean")
