from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mfcore.metrics import Bootstrap, Comparison, Estimate, compare
from mfcore.metrics.intervals import Statistic, mean, ratio

EVERYBODY = np.ones(200, bool)


draws = lru_cache(Bootstrap)


def estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    return draws(len(values), seed).estimate([mean(values, np.ones(len(values), bool))])[0]


def paired(one: np.ndarray, another: np.ndarray) -> Comparison:
    found = compare("one", estimate(one), "another", estimate(another), "figure")
    assert found is not None
    return found


def test_agrees_with_scipy() -> None:
    """Another program's draws are others, so ends agree to a share of the interval's width."""
    random = np.random.default_rng(1)
    counts = random.integers(1, 20, 400).astype(float)
    errors = counts * random.gamma(2, 0.4, 400)

    def root(errors: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.sqrt(errors.sum(axis=axis) / counts.sum(axis=axis))

    statistic = Statistic(np.column_stack([errors, counts]), lambda sums: np.sqrt(sums[..., 0] / sums[..., 1]))
    (found,) = Bootstrap(400).estimate([statistic])
    theirs = stats.bootstrap(
        (errors, counts), root, paired=True, n_resamples=5000, method="percentile", rng=np.random.default_rng(2)
    )
    assert found.value == pytest.approx(root(errors, counts).item())
    assert found.n == counts.sum()
    assert found.interval is not None
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval), abs=0.1 * width)
    assert found.replicates.std(ddof=1) == pytest.approx(theirs.standard_error, rel=0.1)


def test_a_replicate_is_the_figure_of_the_users_drawn() -> None:
    values = np.random.default_rng(0).normal(size=50)
    bootstrap = Bootstrap(50, seed=3)
    (found,) = bootstrap.estimate([mean(values, np.ones(50, bool))])
    assert (bootstrap.drawn.sum(axis=1) == 50).all()
    expected = [np.repeat(values, times).mean() for times in bootstrap.drawn]
    assert found.replicates == pytest.approx(np.array(expected), abs=1e-6)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        interval = estimate(np.random.default_rng(seed).normal(1, 2, 100)).interval
        assert interval is not None
        held += interval[0] <= 1 <= interval[1]
    assert 180 <= held <= 198


@pytest.mark.parametrize("n_users", [20, 50])
@pytest.mark.parametrize("kind", ["skewed", "unequal"])
def test_intervals_of_few_users_hold_the_truth_as_well(n_users: int, kind: str) -> None:
    """Percentiles hold it in 0.86 to 0.92 of these cases."""
    held = 0
    for seed in range(500):
        random = np.random.default_rng(seed)
        counts = np.ones(n_users) if kind == "skewed" else random.geometric(0.1, n_users).astype(float)
        sums = random.exponential(1, n_users) if kind == "skewed" else counts * random.gamma(4, 0.25, n_users)
        (found,) = draws(n_users).estimate([ratio(sums, counts)])
        assert found.interval is not None
        held += found.interval[0] <= 1 <= found.interval[1]
    assert held >= 0.92 * 500


def test_pairs_tell_apart_what_intervals_alone_do_not() -> None:
    own = np.random.default_rng(0).normal(1, 1, 200)
    slightly = own + np.random.default_rng(1).normal(0.05, 0.05, 200)
    one, another = estimate(own).interval, estimate(slightly).interval
    assert one is not None and another is not None
    assert one[1] > another[0]
    found = paired(slightly, own)
    assert found.low is not None and found.low > 0
    assert not found.tie
    assert found.p_value == pytest.approx(2 / 1001)


def test_no_difference_is_found_about_as_seldom_as_the_level_says() -> None:
    called = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        common = random.normal(size=80)
        called += not paired(common + random.normal(size=80), common + random.normal(size=80)).tie
    assert 2 <= called <= 22


@given(st.integers(0, 10_000), st.floats(-0.5, 0.5))
def test_a_tie_is_an_interval_that_holds_nothing(seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    found = paired(random.normal(size=30) + shift, random.normal(size=30))
    assert found.low is not None and found.high is not None and found.p_value is not None
    assert found.low <= found.difference <= found.high
    assert found.tie == (found.low <= 0 <= found.high) == (found.p_value > 0.05)
    turned = found.turned()
    assert (turned.model, turned.difference, turned.low, turned.high) == (
        "another",
        -found.difference,
        -found.high,
        -found.low,
    )
    assert turned.turned() == found


def test_equal_models_are_a_tie_with_certainty() -> None:
    values = np.random.default_rng(0).normal(size=40)
    found = paired(values, values)
    assert (found.difference, found.low, found.high, found.p_value, found.tie) == (0, 0, 0, 1, True)


def test_few_users_give_a_value_and_no_interval() -> None:
    few = estimate(np.arange(19.0))
    assert (few.value, few.interval, few.n) == (9, None, 19)
    assert few.unknown == "fewer than 20 users: no interval"
    found = compare("a", few, "b", few, "figure")
    assert found is not None
    assert (found.p_value, found.tie, found.reason) == (None, None, few.unknown)


def test_replicates_without_a_figure_are_passed_over_in_pairs() -> None:
    """Of twenty users that count among many, some draws hold none; the pairs of the others stay pairs."""
    some = np.arange(4000) < 20
    values = np.random.default_rng(0).random(4000)
    bootstrap = Bootstrap(4000)
    one, another = bootstrap.estimate([mean(values, some), mean(values + 1, some)])
    gone = Estimate(one.value, np.where(np.arange(1000) < 300, np.nan, one.replicates), one.n, None)
    found = compare("a", gone, "b", another, "figure")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((-1, -1), abs=1e-5)
    assert gone.interval is not None and np.isfinite(gone.interval).all()


def test_users_that_have_no_part_in_a_figure_don_t_count() -> None:
    some = np.arange(200) < 50
    (found,) = Bootstrap(200).estimate([mean(np.arange(200.0), some, unknown="nobody")])
    assert (found.value, found.n) == (24.5, 50)
    (nothing,) = Bootstrap(200).estimate([mean(np.arange(200.0), ~EVERYBODY, unknown="nobody")])
    assert np.isnan(nothing.value)
    assert (nothing.n, nothing.interval, nothing.unknown) == (0, None, "nobody")
    assert compare("a", found, "b", nothing, "figure") is None


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).normal(size=300)
    assert estimate(values, 1).interval == estimate(values, 1).interval
    assert estimate(values, 1).interval != estimate(values, 2).interval


def test_many_figures_are_those_of_each_alone() -> None:
    random = np.random.default_rng(0)
    statistics = [ratio(random.random(200), random.random(200), np.ones(200)) for _ in range(300)]
    bootstrap = Bootstrap(200)
    together = bootstrap.estimate(statistics)
    for place in (0, 120, 299):
        (alone,) = bootstrap.estimate([statistics[place]])
        assert alone.value == together[place].value
        assert alone.replicates == pytest.approx(together[place].replicates, rel=1e-5)
