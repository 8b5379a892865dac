from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, Run
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from mfcore.tracking import finished
from mfcore.tracking.runs import Experiment
from tests.unit.tracking.conftest import settings_in, trial


def told(experiment: Experiment, run: Run) -> dict[str, Any]:
    """All that MLflow says of a run, but for what differs between any two."""
    info = {name: value for name, value in dict(run.info).items() if name not in ("run_id", "run_uuid", "artifact_uri")}
    metrics = {name: experiment.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    points = {name: [(one.step, one.value, one.timestamp) for one in some] for name, some in metrics.items()}
    uri = run.info.artifact_uri.replace(run.info.run_id, "ID")
    return {
        "info": info,
        "tags": sorted(run.data.tags.items()),
        "params": run.data.params,
        "metrics": run.data.metrics,
        "points": points,
        "uri": uri,
    }


def test_a_trial_in_one_transaction_is_the_run_that_mlflows_calls_make(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = experiment.start("parent")
    run = finished.FinishedRun(
        experiment_id=experiment.id,
        artifact_location=experiment.client.get_experiment(experiment.id).artifact_location,
        name="als-007",
        tags={"mlflow.parentRunId": parent, "mlflow.user": "someone", "stage": "tune"},
        params={"n_factors": "8", "reg_user": "0.1"},
        metrics=[
            Metric("validation_rmse", 0.9, 5, 0),
            *(Metric("curve", 1 / step, 5, step) for step in (1, 2, 3)),
            Metric("odd", float("nan"), 5, 1),
            Metric("odd", float("inf"), 5, 2),
        ],
        started=1_700_000_000_000,
        ended=1_700_000_001_000,
    )
    at_once = experiment.client.get_run(run.log(experiment.client))
    monkeypatch.setattr(finished, "SqlAlchemyStore", type("Another", (), {}))
    by_calls = experiment.client.get_run(run.log(experiment.client))
    assert at_once.info.run_id != by_calls.info.run_id
    for logged in (at_once, by_calls):
        assert logged.info.status == "FINISHED"
        assert logged.data.metrics["curve"] == 1 / 3
    assert repr(told(experiment, at_once)) == repr(told(experiment, by_calls))  # NaN is not equal to itself


def test_a_trial_that_is_cut_short_leaves_no_run(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = experiment.start("cut")

    def cut(value: float) -> tuple[bool, float]:
        raise KeyboardInterrupt

    before = len(experiment.client.search_runs([experiment.id], max_results=1000))
    monkeypatch.setattr(SqlAlchemyStore, "sanitize_metric_value", staticmethod(cut))
    with pytest.raises(KeyboardInterrupt):
        experiment.log_trial(trial(0), "cut", parent, {})
    monkeypatch.undo()
    assert len(experiment.client.search_runs([experiment.id], max_results=1000)) == before
    assert experiment.logged_trials("cut") == set()
    experiment.log_trial(trial(0), "cut", parent, {})
    assert experiment.logged_trials("cut") == {0}


def test_a_trial_lines_up_with_others(experiment: Experiment) -> None:
    parent = experiment.start("parent")
    assert not experiment.has_trials(parent)
    for number, outcome in enumerate(("complete", "pruned", "diverged")):
        experiment.log_trial(trial(number, outcome=outcome), "study", parent, {"split": "abc"})
    assert experiment.has_trials(parent)
    assert experiment.logged_trials("study") == {0, 1, 2}
    found = {run.info.run_name: run for run in experiment.client.search_runs([experiment.id], "tags.study = 'study'")}
    assert {name: run.data.tags["outcome"] for name, run in found.items()} == {
        "als-000": "complete",
        "als-001": "pruned",
        "als-002": "diverged",
    }
    first, diverged = found["als-000"], found["als-002"]
    assert first.data.params == {
        "algorithm": "als", "n_epochs": "5", "n_factors": "4", "reg_user": "0.01", "priors": "fixed", "seed": "0"
    }  # fmt: skip
    assert first.info.end_time - first.info.start_time == 500
    assert first.data.metrics["validation_rmse"] == min(trial(0).curve)
    assert "validation_rmse" not in diverged.data.metrics
    assert first.data.tags["mlflow.parentRunId"] == parent


def test_the_experiment_says_what_it_is_and_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    experiment = Experiment(settings_in(tmp_path), "synthetic")
    note = experiment.client.get_experiment(experiment.id).tags["mlflow.note.content"]
    first, _, rest = note.partition("\n")
    assert first.startswith("Matrix factorization of synthetic")
    assert f"#/experiments/{experiment.id}/runs?searchFilter=tags.stage%20%3D%20%27tune%27" in rest
    experiment.client.set_experiment_tag(experiment.id, "mlflow.note.content", "ours")
    again = Experiment(settings_in(tmp_path), "synthetic")
    assert again.id == experiment.id
    assert again.client.get_experiment(again.id).tags["mlflow.note.content"] == "ours"


def test_a_run_tells_of_its_environment_these_things_alone(experiment: Experiment) -> None:
    run = experiment.client.get_run(experiment.start("plain"))
    assert set(run.data.tags) == {
        "code_version", "process", "dataset", "mlflow.source.name", "mlflow.user", "mlflow.runName"
    }  # fmt: skip
