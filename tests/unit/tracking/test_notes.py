from pathlib import Path

import pytest

from mfcore.config import EvaluationConfig, SplitConfig
from mfcore.evaluation.candidates import Candidate, baselines
from mfcore.evaluation.gate import Decision
from mfcore.evaluation.heads import HeadResult
from mfcore.evaluation.rules import Rule
from mfcore.evaluation.scoring import Evaluation, Score
from mfcore.metrics import Measure
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.tracking.notes import (
    _frame,
    evaluation_note,
    experiment_note,
    finalist_note,
    model_note,
    pipeline_note,
    version_note,
)

RECIPE = Recipe(algorithm="als", params={"n_factors": 8})
RATING = (Objective.RATING,)
BASELINES = baselines(100, EvaluationConfig())
FINALIST = Candidate(
    name="als", role="finalist", objectives=RATING, recipe=RECIPE, validation={"validation_rmse": 0.95}
)


def score(candidate: Candidate, rmse: float) -> Score:
    lists = {"ndcg_at_10": 0.0712, "recall_at_10": 0.0034, "coverage_at_10": 0.3, "popularity_lift_at_10": -0.2}
    values = {"rmse": rmse, "mae": rmse - 0.2, **lists}
    measures = [Measure(metric=name, value=value, n=100, reason="few users") for name, value in values.items()]
    return Score(candidate=candidate, measures=measures, seconds=1.25, run_id=f"run-of-{candidate.name}")


@pytest.fixture
def found() -> Evaluation:
    return Evaluation(
        scores=[score(BASELINES[1], 0.99), score(FINALIST, 0.9234)],
        comparisons=[],
        slices={},
        heads={Objective.RATING: head("als")},
    )


def head(chosen: str) -> HeadResult:
    decision = Decision(promote=True, challenger_value=0.9234, reason="a better recipe")
    return HeadResult(
        objective=Objective.RATING, metric="rmse", challenger="als", chosen=chosen, decision=decision, status="promoted"
    )


def test_the_pipelines_note_says_what_was_run_chosen_and_left_where(found: Evaluation) -> None:
    note = pipeline_note(
        found,
        experiment_id="7",
        ratings={"ratings": 100_000, "users": 943, "items": 1682, "quarantined": 12},
        parts={"train": 80_000, "validation": 10_000, "test": 9_999},
        split=SplitConfig(method="random", seed=3),
        champion="models:/mfcore-films/12",
        export=Path("/exports/films/12"),
        page=Path("/home/data.html"),
        report=Path("/exports/films/report/index.html"),
    )
    assert "- rating: **als**, test RMSE 0.9234, promoted. A better recipe.\n" in note
    rows = [line for line in note.splitlines() if line.startswith("|")]
    assert [line.count("|") for line in rows] == [rows[0].count("|")] * 4
    assert "test RMSE" in rows[0] and "test NDCG@10" in rows[0]
    assert rows[2].startswith("| **[als](#/experiments/7/runs/run-of-als)**")
    assert "0.9234" in rows[2] and "0.0034" in rows[2] and "0.9500" in rows[2]
    assert "[bias]" in rows[3]
    assert "100,000 ratings by 943 users on 1,682 items, 12 rows refused" in note
    assert "(random, seed 3) into 80,000 train, 10,000 validation and 9,999 test" in note
    assert "[mfcore-films version 12](#/models/mfcore-films/versions/12)" in note
    assert "`/exports/films/12`" in note and "`/home/data.html`" in note
    assert "`/exports/films/report/index.html`" in note


def test_a_champion_that_stays_is_named_with_its_algorithm(found: Evaluation) -> None:
    champion = Candidate(name="champion", role="champion", objectives=RATING, recipe=RECIPE)
    stayed = found.model_copy(
        update={"scores": [*found.scores, score(champion, 0.91)], "heads": {Objective.RATING: head("champion")}}
    )
    assert "- rating: **champion** (als), test RMSE 0.9100, " in evaluation_note(stayed, "1")


def test_the_note_of_a_finalist_names_its_figures_and_a_baselines_does_not() -> None:
    finalist = finalist_note(FINALIST, score(FINALIST, 0.92), 90_000, 10_000)
    assert "trained on 90,000 ratings in 1.2 s and scored on 10,000 test ratings" in finalist
    assert "- validation RMSE **0.9500**" in finalist and "- test RMSE **0.9200**" in finalist
    assert "calibration" in finalist
    assert "calibration" not in finalist_note(BASELINES[0], score(BASELINES[0], 1.1), 90_000, 10_000)


def test_columns_of_intervals_stand_beside_their_value() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"model": ["a", "b"], "test_rmse": [0.9, 1.0], "test_rmse_low": [0.8, None], "test_rmse_high": [0.95, None]}
    )
    table = _frame(frame)
    assert "low" not in table
    assert "0.9000 (0.8000 to 0.9500)&emsp;" in table
    assert "1.0000&emsp;" in table


def test_what_the_registry_and_the_list_of_experiments_show() -> None:
    assert "\n" not in experiment_note("films", "1").partition("\n")[0]
    assert 'load_model("models:/mfcore-films@champion")' in model_note("films")


def test_the_description_of_a_version_leads_to_its_card_and_is_never_too_long() -> None:
    rule = Rule(of="als", name="coverage of lists", found=0.002, relation="≥", limit=0.01)
    metrics = {"test_rmse": 0.92}

    def note(rules: list[Rule]) -> str:
        return version_note(
            {Objective.RATING: RECIPE}, "Trained on all ratings.", metrics, rules, experiment_id="7", run_id="r"
        )

    kept = rule.model_copy(update={"found": 0.5})
    version = note([kept, rule])
    assert version.startswith("Trained on all ratings.") and "als, 8 factors" in version and "**0.9200**" in version
    assert "(#/experiments/7/runs/r/artifacts/model_card.md)" in version
    assert "1 of 2 rules" in version and "coverage of lists" in version and "≥ 0.01" in version
    long = note([kept] * 200 + [rule])
    assert len(long) <= 5000 and long.count("coverage of lists") == 1
    assert len(note([rule] * 200)) == 5000
