import numpy as np
import pytest

from mfcore.gate import decide


def predictions(rmse: float, n: int = 20_000, seed: int = 0) -> np.ndarray:
    return (3 + np.random.default_rng(seed).normal(0, rmse, n)).astype(np.float32)


ACTUAL = np.full(20_000, 3, np.float32)


def test_the_first_champion_needs_no_comparison() -> None:
    assert decide(ACTUAL, predictions(5.0), None).promote


def test_the_worse_recipe_is_never_promoted() -> None:
    better, worse = predictions(0.9, seed=1), predictions(0.95, seed=2)
    assert decide(ACTUAL, better, worse).promote
    refused = decide(ACTUAL, worse, better)
    assert not refused.promote
    assert refused.difference == pytest.approx(0.05, abs=0.02)
    assert refused.interval is not None
    assert refused.interval[0] > 0


def test_a_tie_promotes_unless_an_improvement_is_asked_for() -> None:
    same = predictions(0.9)
    assert decide(ACTUAL, same, same).promote
    assert not decide(ACTUAL, same, same, min_improvement=0.001).promote


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        challenger, champion = predictions(0.9, 500, seed), predictions(1.0, 500, 1000 + seed)
        interval = decide(ACTUAL[:500], challenger, champion).interval
        assert interval is not None
        held += interval[0] <= -0.1 <= interval[1]
    assert 180 <= held <= 199
