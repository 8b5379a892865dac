"""The scale that is read off ratings: never widened by a mistake, never silent about a sentinel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfcore.data.ratings import Scale
from mfcore.data.scales import observe

scales = st.tuples(st.integers(-10, 10), st.integers(3, 10), st.sampled_from([0.5, 1.0]))


def on_scale(lowest: float, n_steps: int, step: float, times: int = 40) -> np.ndarray:
    """Each value of a scale so many times."""
    return np.repeat(lowest + step * np.arange(n_steps + 1), times)


@given(scales)
def test_ratings_that_use_their_whole_scale_show_it(scale):
    lowest, n_steps, step = scale
    found = observe(on_scale(lowest, n_steps, step), None, {})
    assert found.scale == Scale(lowest, lowest + n_steps * step, step)
    assert found.warnings == ()
    assert found.notes[0].startswith("scale read off the ratings: ")


@given(scales, st.floats(5, 1e6), st.booleans())
def test_one_value_far_from_all_others_is_left_outside(scale, widths, above):
    lowest, n_steps, step = scale
    width = n_steps * step
    far = lowest + width + widths * width if above else lowest - widths * width
    values = on_scale(lowest, n_steps, step)
    assert observe(np.append(values, far), None, {}).scale == observe(values, None, {}).scale


@given(scales, st.sampled_from([0.02, 0.13, 0.26]))
def test_one_value_off_the_step_is_left_outside(scale, off):
    lowest, n_steps, step = scale
    found = observe(np.append(on_scale(lowest, n_steps, step), lowest + off), None, {}).scale
    assert found == Scale(lowest, lowest + n_steps * step, step)


@given(scales, st.integers(1, 3), st.booleans())
def test_a_few_values_beside_the_scale_are_told_of(scale, n, above):
    lowest, n_steps, step = scale
    end = lowest + n_steps * step
    values = np.append(on_scale(lowest, n_steps, step, 200), [end + step if above else lowest - step] * n)
    (warning,) = observe(values, None, {}).warnings
    key, usual = ("scale_max", end) if above else ("scale_min", lowest)
    assert f"set dataset.{key} = {usual:g}" in warning
    kept = observe(
        values, None, {key.removeprefix("scale_").replace("min", "minimum").replace("max", "maximum"): usual}
    )
    assert kept.scale == Scale(lowest, end, step)
    assert kept.warnings == ()


@pytest.mark.parametrize(
    ("usual", "sentinel", "share"),
    [((1, 10), -1, 0.2), ((1, 10), -1, 0.01), ((5, 10), 0, 0.65), ((1, 5), 0, 0.65), ((-10, 10), 99, 0.3)],
)
@pytest.mark.parametrize("n", [60, 3000])
def test_what_may_mean_not_rated_is_told_of_with_the_setting(usual, sentinel, share, n):
    rng = np.random.default_rng(n)
    low, high = usual
    values = rng.uniform(low, high, n).round(2) if low < 0 else rng.integers(low, high + 1, n).astype(float)
    values[: max(int(n * share), 1)] = sentinel
    (warning,) = observe(values, None, {}).warnings
    assert f"dataset.not_rated = [{sentinel}]" in warning
    end = "maximum" if sentinel > high else "minimum"
    assert observe(values, None, {end: float(sentinel)}).warnings == ()


@given(scales, st.sampled_from(["minimum", "maximum", "step"]))
def test_an_end_that_is_given_counts_and_the_rest_is_read_off(scale, key):
    lowest, n_steps, step = scale
    given_ = {"minimum": lowest - 2.0, "maximum": lowest + n_steps * step + 2.0, "step": 0.25}[key]
    found = observe(on_scale(lowest, n_steps, step), None, {key: given_}).scale
    expected = {"minimum": float(lowest), "maximum": lowest + n_steps * step, "step": step} | {key: given_}
    assert found == Scale(**expected)


def test_a_known_scale_stays_but_for_what_is_given():
    known = Scale(1, 5, 1)
    assert observe(np.array([45.0, 3.02]), known, {}).scale == known
    assert observe(np.array([1.0]), known, {"maximum": 10.0}).scale == Scale(1, 10, 1)


def test_steps_count_from_the_minimum_that_is_given():
    assert observe(np.repeat([0.3, 1.3, 2.3], 40), None, {"minimum": 0.3}).scale == Scale(0.3, 2.3, 1)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_any_numbers_have_a_scale_within_them(values):
    array = np.array(values, float)
    scale = observe(array, None, {}).scale
    finite = array[np.isfinite(array)]
    if len(finite):
        assert finite.min() <= scale.minimum <= scale.maximum <= finite.max()
