import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mfcore.errors import SourceUnavailable
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.scoring import evaluate
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.tracking import finalists
from mfcore.tracking.finalists import FinalistLog
from mfcore.tracking.runs import Experiment
from tests.unit.metrics.cases import random_ratings

RECIPE = Recipe(algorithm="als", params={"n_factors": 2, "n_epochs": 1})


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(*random_ratings((40, 30), 1))


def candidates(*names: str) -> list[Candidate]:
    objectives = (Objective.RANKING,)
    return [Candidate(name=name, role="baseline", objectives=objectives, recipe=RECIPE) for name in names]


def logged(experiment: Experiment, evaluator: Evaluator) -> FinalistLog:
    parent = experiment.start("evaluation")
    return FinalistLog(experiment, evaluator.known, evaluator.test, None, {"split": "abc"}, parent, Path.cwd())


def test_candidates_are_logged_in_order_while_the_next_is_trained(
    experiment: Experiment, client: MlflowClient, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, log_table = threading.Event(), Experiment.log_table

    def slow(*arguments: object) -> None:
        assert trained.wait(20), "the caller waits for what it could do meanwhile"
        log_table(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Experiment, "log_table", slow)
    with logged(experiment, evaluator) as log:
        for scored in evaluate(candidates("one", "two"), evaluator):
            if scored.score.candidate.name == "two":
                trained.set()
            log.add(scored)
        scores = log.scores()
    assert [score.candidate.name for score in scores] == ["one", "two"]
    runs = [client.get_run(score.run_id) for score in scores if score.run_id is not None]
    assert [run.info.run_name for run in runs] == ["baseline-one", "baseline-two"]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    for run, score in zip(runs, scores, strict=True):
        assert run.data.metrics["test_ndcg_at_10"] == score.metrics["test_ndcg_at_10"]


def test_a_finalist_has_model_and_figures_of_what_it_competes_for(
    experiment: Experiment, client: MlflowClient, evaluator: Evaluator
) -> None:
    finalist = Candidate(name="als", role="finalist", objectives=(Objective.RATING,), recipe=RECIPE)
    with logged(experiment, evaluator) as log:
        for scored in evaluate([finalist], evaluator):
            log.add(scored)
        (score,) = log.scores()
    assert score.run_id is not None and score.model_uri is not None
    assert {Path(file.path).stem for file in client.list_artifacts(score.run_id, "figures")} == {
        "calibration",
        "errors_by_activity",
        "errors_by_rating",
        "learning_curve",
        "popularity",
    }


def test_what_could_not_be_logged_is_the_callers_error(
    experiment: Experiment, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> str:
        raise SourceUnavailable("the store is gone")

    monkeypatch.setattr(finalists, "finalist_note", gone)
    with logged(experiment, evaluator) as log, pytest.raises(SourceUnavailable, match="is gone"):
        for scored in evaluate(candidates("one", "two"), evaluator):
            log.add(scored)
