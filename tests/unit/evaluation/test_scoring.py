import math

import numpy as np
import pandas as pd
import pytest

from mfcore.config import EvaluationConfig
from mfcore.evaluation.candidates import Candidate, baselines
from mfcore.evaluation.curves import learning_curve
from mfcore.evaluation.gate import decide
from mfcore.evaluation.heads import HeadResult
from mfcore.evaluation.scoreboard import scoreboard
from mfcore.evaluation.scoring import Evaluation, ScoredModel, comparison, comparisons, evaluate
from mfcore.metrics import Evaluator, compare
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from tests.unit.metrics.cases import random_ratings

ALS = Candidate(
    name="als",
    role="finalist",
    objectives=(Objective.RATING,),
    recipe=Recipe(algorithm="als", params={"n_factors": 2, "n_epochs": 3}),
    validation={"validation_rmse": 1.5},
)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(*random_ratings((60, 80), 1), config=EvaluationConfig(ks=(4, 2)))


@pytest.fixture(scope="module")
def scored(evaluator: Evaluator) -> dict[str, ScoredModel]:
    return {one.score.candidate.name: one for one in evaluate([ALS, *baselines(80, EvaluationConfig())], evaluator)}


@pytest.fixture(scope="module")
def found(scored: dict[str, ScoredModel]) -> Evaluation:
    return Evaluation(
        scores=[one.score for one in scored.values()],
        comparisons=comparisons({name: one.estimates for name, one in scored.items()}),
        slices={"all": "everything", "tail items": "the rest", "genre War": "many"},
        heads={
            Objective.RATING: HeadResult(
                objective=Objective.RATING,
                metric="rmse",
                challenger="als",
                chosen="als",
                decision=decide(scored["als"].estimates["rmse"], None),
                status="promoted",
            )
        },
    )


def test_recipes_are_trained_on_train_and_validation(evaluator: Evaluator, scored: dict[str, ScoredModel]) -> None:
    model, one = ALS.recipe.build(), scored["als"]
    factors = model.train(evaluator.known)
    assert len(evaluator.known) == len(evaluator.train) + len(evaluator.validation)
    assert np.array_equal(one.factors.item_factors, factors.item_factors)
    assert one.score.measures == evaluator.measure(factors, model.train(evaluator.cold_start.others)).measures
    assert np.array_equal(one.predictions, factors.predict(evaluator.test.users, evaluator.test.items))
    assert one.curve == learning_curve(ALS.recipe, evaluator.train, evaluator.validation)


def test_baselines_stand_beside_the_finalists(scored: dict[str, ScoredModel]) -> None:
    assert list(scored) == ["als", "global_mean", "bias", "most_popular", "item_knn", "ease"]
    for name, one in scored.items():
        assert (len(one.train_curve), len(one.validation_curve)) == ((200, 200) if name == "als" else (0, 0))
        assert set(one.score.headline) <= set(one.score.metrics)
        assert all(math.isfinite(value) for value in one.score.metrics.values())
    assert list(scored["als"].score.headline) == [
        "test_rmse",
        "test_mae",
        "test_ndcg_at_4",
        "test_recall_at_4",
        "test_coverage_at_4",
        "test_popularity_lift_at_4",
    ]
    assert list(scored["global_mean"].score.headline) == ["test_rmse", "test_mae"]
    with pytest.raises(KeyError, match="accuracy of all"):
        scored["als"].score.measure("accuracy")


def test_any_two_models_are_compared_either_way_round(scored: dict[str, ScoredModel], found: Evaluation) -> None:
    for one in scored:
        for other in scored:
            if one != other:
                compared = found.compare(one, other, "rmse")
                expected = compare(one, scored[one].estimates["rmse"], other, scored[other].estimates["rmse"], "rmse")
                assert compared is not None and expected is not None
                assert compared.model_dump() == pytest.approx(expected.model_dump())
    assert found.compare("als", "global_mean", "ndcg_at_4") is None
    assert found.compare("als", "bias", "ndcg_at_2") is not None


def test_json_and_frame_hold_all_of_it(found: Evaluation) -> None:
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
    frame = found.measures()
    assert list(frame.columns) == ["model", "metric", "slice", "value", "low", "high", "n", "reason"]
    assert not frame.duplicated(["model", "metric", "slice"]).any()
    assert frame.loc[frame["value"].isna() | frame["low"].isna(), "reason"].notna().all()
    assert len(frame) == sum(len(score.measures) for score in found.scores)


def test_the_table_has_a_row_a_model(found: Evaluation) -> None:
    table = comparison(found.scores).set_index("model")
    assert table.loc["als", "validation_rmse"] == 1.5
    assert table.loc["als", "test_rmse_low"] < table.loc["als", "test_rmse"] < table.loc["als", "test_rmse_high"]
    assert pd.isna(table.loc["global_mean", "test_ndcg_at_4"])


def test_the_terminal_names_ties_and_what_is_missing(found: Evaluation) -> None:
    tables = dict(scoreboard(found))
    ratings, lists, slices, missing = tables.values()
    assert (
        [row["model"] for row in ratings] == [row["model"] for row in lists] == [s.candidate.name for s in found.scores]
    )
    best = min(found.scores, key=lambda score: score.metrics["test_rmse"])
    for row, score in zip(ratings, found.scores, strict=True):
        compared = found.compare(row["model"], best.candidate.name, "rmse")
        expected = "least" if compared is None else "tie" if compared.tie else "worse"
        assert row["beside the least"].startswith(expected)
        assert row["RMSE"].startswith(f"{score.metrics['test_rmse']:.4f} (")
    assert lists[1]["NDCG"] is None
    assert [row["slice"] for row in slices] == ["all", "tail items"]
    assert "all items have the same score, which is no list" in [row["why"] for row in missing]


def test_the_terminal_slices_what_predicts_ratings(evaluator: Evaluator) -> None:
    lists = Candidate(name="lists", role="finalist", objectives=(Objective.RANKING,), recipe=ALS.recipe)
    both = list(evaluate([ALS, lists], evaluator))
    beside = comparisons({one.score.candidate.name: one.estimates for one in both})
    scores = [one.score for one in both]
    found = Evaluation(scores=scores, comparisons=beside, slices=evaluator.meanings, heads={})
    slices = dict(scoreboard(found))["RMSE by slice"]
    row = next(row for row in slices if row["slice"] == "new users, 5 ratings")
    assert row["als"] == scores[0].measure("rmse", "new users, 5 ratings").value
    assert "lists" not in row
