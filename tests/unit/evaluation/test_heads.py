"""Each rule of the gate, broken on purpose, and what takes the head then."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mfcore.config import DriftConfig, RegistrationConfig
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.heads import HeadResult, judge
from mfcore.evaluation.rules import Facts, Rule, drift_rules, failed
from mfcore.metrics import Bootstrap, Estimate, Measure
from mfcore.metrics.intervals import mean
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from tests.unit.metrics.cases import random_factors

N_USERS = 200
BOOTSTRAP = Bootstrap(N_USERS)
SPREAD = np.random.default_rng(0).normal(0, 0.2, N_USERS)
SOUND = Facts(not_finite=0, off_scale=0, coverage=0.5)
CHAMPION = Recipe(algorithm="als", params={"n_factors": 7})


def figure(value: float, noise: int | None = None) -> Estimate:
    """A figure of about `value`, the difference from another one the same for all users or, with noise, by chance."""
    own = SPREAD if noise is None else np.random.default_rng(noise).normal(0, 0.2, N_USERS)
    return BOOTSTRAP.estimate([mean(value + own - own.mean(), np.ones(N_USERS, np.bool_))])[0]


def candidate(name: str, role: str, recipe: Recipe, **validation: float) -> Candidate:
    return Candidate.model_validate(
        {"name": name, "role": role, "objectives": tuple(Objective), "recipe": recipe, "validation": validation}
    )


CANDIDATES = [
    candidate("sgd", "finalist", Recipe(algorithm="sgd"), validation_rmse=0.9, validation_ndcg_at_10=0.3),
    candidate("champion", "champion", CHAMPION),
    candidate("global_mean", "baseline", Recipe(algorithm="global_mean")),
    candidate("bias", "baseline", Recipe(algorithm="bias")),
    candidate("most_popular", "baseline", Recipe(algorithm="most_popular")),
    candidate("ease", "baseline", Recipe(algorithm="ease")),
]
RMSE = {"sgd": 0.9, "champion": 0.92, "bias": 0.95, "global_mean": 1.1, "ease": 0.97}
NDCG = {"sgd": 0.33, "champion": 0.32, "most_popular": 0.1, "ease": 0.3}


def gate(
    objective: Objective,
    facts: dict[str, Facts] | None = None,
    incumbent: Recipe | None = CHAMPION,
    config: RegistrationConfig | None = None,
    **figures: float | Estimate,
) -> HeadResult:
    usual = RMSE if objective is Objective.RATING else NDCG
    metric = objective.metric(10)
    estimates = {
        name: {metric: one if isinstance(one, Estimate) else figure(one)} for name, one in {**usual, **figures}.items()
    }
    all_facts = {one.name: SOUND for one in CANDIDATES} | (facts or {})
    found = judge(objective, CANDIDATES, estimates, all_facts, 10, incumbent, config or RegistrationConfig())
    assert found is not None
    return found


def outcome(found: HeadResult) -> tuple[str, str]:
    return found.chosen, found.status


@pytest.mark.parametrize("objective", Objective)
def test_a_better_challenger_passes_every_rule_and_each_has_its_number(objective: Objective) -> None:
    found = gate(objective)
    assert outcome(found) == ("sgd", "promoted") and found.warning is None
    of_challenger = [rule for rule in found.rules if rule.of == "sgd"]
    assert len(of_challenger) == {"rating": 7, "ranking": 6}[objective] and not failed(of_challenger)
    assert all(rule.found is not None for rule in found.rules)
    names = " ".join(rule.name for rule in of_challenger)
    wanted = ("over the champion, at least", "not finite", "beside ease")
    more = ("coverage", "beside most_popular") if objective is Objective.RANKING else ("off the scale", "limit bias")
    assert all(part in names for part in (*wanted, *more))


@pytest.mark.parametrize("objective", Objective)
def test_a_worse_challenger_and_a_tie_keep_the_champion(objective: Objective) -> None:
    champion = "champion"
    worse = {Objective.RATING: 0.93, Objective.RANKING: 0.31}[objective]
    assert outcome(gate(objective, sgd=worse)) == (champion, "kept")
    usual = RMSE if objective is Objective.RATING else NDCG
    tied = gate(objective, sgd=figure(usual["champion"], noise=5))
    assert outcome(tied) == (champion, "tie")
    assert "over the champion, at least" in failed(tied.rules)


def test_each_head_has_an_improvement_of_its_own() -> None:
    config = RegistrationConfig(min_improvement=0.03, min_ranking_improvement=0.02)
    for objective in Objective:
        found = gate(objective, config=config)
        assert outcome(found) == ("champion", "kept")
        (lacking,) = (rule for rule in found.rules if not rule.passed)
        assert lacking.found == pytest.approx({"rating": 0.02, "ranking": 0.01}[objective])
        assert lacking.limit == {"rating": 0.03, "ranking": 0.02}[objective]


@pytest.mark.parametrize(
    ("objective", "facts", "figures", "says"),
    [
        ("rating", {"not_finite": 3}, {}, "factors not finite 3, not = 0"),
        ("ranking", {"not_finite": 1}, {}, "factors not finite 1, not = 0"),
        ("rating", {"off_scale": 2}, {}, "predictions off the scale 2, not = 0"),
        ("ranking", {"coverage": 0.002}, {}, "coverage of lists 0.002, not ≥ 0.01"),
        ("ranking", {"coverage": None}, {}, "coverage of lists unknown"),
        ("rating", {}, {"bias": 0.89}, "rmse, limit bias 0.9, not ≤ 0.89"),
        ("rating", {}, {"global_mean": 0.89}, "rmse, limit global_mean 0.9, not ≤ 0.89"),
        ("ranking", {}, {"most_popular": 0.34}, "ndcg_at_10 beside most_popular, gain at least -0.01, not > 0"),
        ("ranking", {}, {"most_popular": figure(0.33, noise=6)}, "ndcg_at_10 beside most_popular, gain at least"),
        ("rating", {}, {"ease": 0.88}, "rmse beside ease, gain at most -0.02, not ≥ 0"),
        ("ranking", {}, {"ease": 0.36}, "ndcg_at_10 beside ease, gain at most -0.03, not ≥ 0"),
    ],
)
def test_a_broken_rule_gives_the_head_to_a_baseline(
    objective: str, facts: dict[str, Any], figures: dict[str, Any], says: str
) -> None:
    broken = {"sgd": SOUND.model_copy(update=facts)}
    best = {"rating": "bias", "ranking": "ease"}[objective]
    lowest = min if objective == "rating" else max
    usual = {"bias": RMSE["bias"], "ease": RMSE["ease"]} if objective == "rating" else {"ease": NDCG["ease"]}
    values = {**usual, **{name: one if isinstance(one, float) else one.value for name, one in figures.items()}}
    best = lowest(values, key=lambda name: values[name])
    first = gate(Objective(objective), broken, incumbent=None, **figures)
    assert outcome(first) == (best, "most popular" if best == "most_popular" else "baseline")
    assert first.warning is not None and says in first.warning and best in first.warning
    if not figures:  # the champion's recipe is none of those that the baseline beats
        kept = gate(Objective(objective), broken, **figures)
        assert outcome(kept) == ("champion", "kept")
        assert says in failed(kept.rules)


def test_a_champion_below_a_baseline_makes_room_for_a_challenger_that_is_not() -> None:
    found = gate(Objective.RATING, sgd=figure(0.949, noise=5), champion=0.951)
    assert found.decision.tie
    assert outcome(found) == ("sgd", "promoted")
    both = gate(Objective.RATING, sgd=0.96, champion=0.97)
    assert outcome(both) == ("bias", "baseline")


def test_a_baseline_that_is_champion_stays_until_it_is_beaten() -> None:
    popular = [replace_recipe(one) for one in CANDIDATES if one.name not in ("most_popular", "ease")]
    figures = {"sgd": figure(0.1, noise=7), "champion": figure(0.1)}
    estimates = {name: {"ndcg_at_10": one} for name, one in figures.items()}
    facts = dict.fromkeys(estimates, SOUND)
    most_popular = Recipe(algorithm="most_popular")
    found = judge(Objective.RANKING, popular, estimates, facts, 10, most_popular, RegistrationConfig())
    assert found is not None
    assert outcome(found) == ("champion", "most popular")
    assert found.warning is not None and "sgd does not beat it" in found.warning


def replace_recipe(one: Candidate) -> Candidate:
    return one.model_copy(update={"recipe": Recipe(algorithm="most_popular")}) if one.name == "champion" else one


def test_few_users_that_tell_nothing_keep_the_champion() -> None:
    few = Bootstrap(5)
    one, another = few.estimate([mean(np.full(5, value), np.ones(5, np.bool_)) for value in (0.5, 0.9)])
    found = gate(Objective.RATING, sgd=one, champion=another, bias=0.95)
    assert outcome(found) == ("champion", "kept")
    assert "over the champion, at least unknown" in failed(found.rules)


def test_facts_are_counted_in_a_model_and_its_predictions() -> None:
    factors = random_factors((20, 10), 1)
    coverage = Measure(metric="coverage_at_2", value=0.4, n=3, reason="no interval")
    predictions = np.array([1, 5, 0.9, np.nan, 5.1], np.float32)
    assert Facts.of(factors, predictions, coverage) == Facts(not_finite=0, off_scale=3, coverage=0.4 / 0.6)
    whole = coverage.model_copy(update={"n": 20})
    damaged = replace(factors, item_bias=np.where(np.arange(10) < 2, np.inf, factors.item_bias))
    assert Facts.of(damaged, predictions[:2], whole) == Facts(not_finite=2, off_scale=0, coverage=0.4)


def test_drift_counts_where_it_stops() -> None:
    checks = [
        {"check": "ids", "success": True},
        {"measure": "size", "observed": -0.6, "limit": 0.9, "success": True},
        {"measure": "mean", "observed": 0.01, "limit": 0.05, "success": True},
    ]
    assert drift_rules(checks, DriftConfig()) == []
    both = DriftConfig(stop_on=("size", "mean"))
    assert [(rule.name, rule.found, rule.passed) for rule in drift_rules(checks, both)] == [
        ("drift of size", 0.6, False),
        ("drift of mean", 0.01, True),
    ]


def test_a_rule_without_a_figure_fails() -> None:
    rule = Rule(of="als", name="coverage", found=None, relation="≥", limit=0)
    assert not rule.passed and rule.row["found"] == "unknown" and rule.row["passed"] == "no"
