import numpy as np
import pytest

from mfcore.evaluation.gate import decide
from mfcore.metrics import Bootstrap, Estimate, compare
from mfcore.metrics.rating import rating_statistics

N_USERS, EACH = 400, 25
USERS = np.repeat(np.arange(N_USERS), EACH)
ACTUAL = np.full(len(USERS), 3, np.float32)
BOOTSTRAP = Bootstrap(N_USERS)


def estimate(rmse: float, seed: int = 0) -> Estimate:
    """RMSE of predictions with normal errors."""
    predicted = (3 + np.random.default_rng(seed).normal(0, rmse, len(USERS))).astype(np.float32)
    none = np.zeros(len(USERS), np.bool_)
    return BOOTSTRAP.estimate([rating_statistics(USERS, N_USERS, predicted, ACTUAL, none, none)["rmse"]])[0]


def test_the_first_champion_needs_no_comparison() -> None:
    decision = decide(estimate(5.0), None)
    assert decision.promote
    assert (decision.interval, decision.tie) == (None, None)


def test_the_worse_recipe_is_never_promoted() -> None:
    better, worse = estimate(0.9, seed=1), estimate(0.95, seed=2)
    promoted = decide(better, worse)
    assert promoted.promote and not promoted.tie
    assert promoted.reason.startswith("a better recipe: test RMSE 0.8987, the champion's 0.9552 (-0.0565, 95 %")
    refused = decide(worse, better)
    assert not refused.promote and not refused.tie
    assert refused.difference == pytest.approx(0.05, abs=0.02)
    assert refused.interval is not None
    assert refused.interval[0] > 0


def test_a_tie_is_called_one_and_keeps_the_champion() -> None:
    better, worse = sorted((estimate(0.9, seed=1), estimate(0.9, seed=2)), key=lambda one: one.value)
    for decision in (decide(better, worse), decide(worse, better), decide(better, better)):
        assert (decision.promote, decision.tie) == (False, True)
        assert decision.reason.startswith("a tie, and the recipe of the champion stays: ")


def test_a_better_recipe_must_be_better_by_what_is_asked_for() -> None:
    better, worse = estimate(0.9, seed=1), estimate(0.95, seed=2)
    assert decide(better, worse, min_improvement=0.04).promote
    refused = decide(better, worse, min_improvement=0.08)
    assert not refused.promote and not refused.tie


def test_of_ndcg_the_higher_is_better() -> None:
    lower, higher = estimate(0.9, seed=1), estimate(0.95, seed=2)
    assert decide(higher, lower, higher_is_better=True).promote
    assert not decide(lower, higher, higher_is_better=True).promote


def test_it_is_the_comparison_that_tables_show() -> None:
    one, another = estimate(0.9, seed=1), estimate(0.91, seed=2)
    decision, compared = decide(one, another), compare("a", one, "b", another, "rmse")
    assert compared is not None
    assert (decision.difference, decision.interval, decision.p_value, decision.tie) == (
        compared.difference,
        (compared.low, compared.high),
        compared.p_value,
        compared.tie,
    )


def test_few_users_keep_the_champion_and_say_that_there_is_no_interval() -> None:
    few = Bootstrap(3)
    one, another = (
        few.estimate([rating_statistics(np.arange(3), 3, p, ACTUAL[:3], *np.zeros((2, 3), bool))["rmse"]])[0]
        for p in np.array([[3, 3, 4], [3, 4, 5]], np.float32)
    )
    decision = decide(one, another)
    assert (decision.promote, decision.interval, decision.tie) == (False, None, None)
    assert "fewer than 20 users: no interval" in decision.reason
