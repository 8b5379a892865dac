import os
import signal
import socket
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from mfcore.errors import SourceUnavailable, UsageError
from mfcore.settings import Settings
from mfcore.tracking.run_log import FinishedRun
from mfcore.tracking.runs import Experiment
from tests.unit.tracking.conftest import settings_in, trial


def test_a_trial_lines_up_with_others(experiment: Experiment, client: MlflowClient) -> None:
    parent = experiment.start("parent")
    assert not experiment.has_trials(parent)
    for number, outcome in enumerate(("complete", "pruned", "diverged")):
        experiment.log_trial(trial(number, outcome=outcome), "study", parent, {"split": "abc"})
    assert experiment.has_trials(parent)
    assert experiment.logged_trials("study") == {0, 1, 2}
    found = {run.info.run_name: run for run in client.search_runs([experiment.id], "tags.study = 'study'")}
    assert {name: run.data.tags["outcome"] for name, run in found.items()} == {
        "rating-als-000": "complete",
        "rating-als-001": "pruned",
        "rating-als-002": "diverged",
    }
    first, diverged = found["rating-als-000"], found["rating-als-002"]
    assert first.data.params == {
        "objective": "rating", "algorithm": "als", "n_epochs": "5",
        "n_factors": "4", "reg_user": "0.01", "priors": "fixed", "seed": "0"
    }  # fmt: skip
    assert first.info.end_time - first.info.start_time == 500
    assert first.data.metrics["validation_rmse"] == min(trial(0).curve)
    curve = client.get_metric_history(first.info.run_id, "validation_rmse_by_epoch")
    assert [(point.step, point.value) for point in curve] == list(enumerate(trial(0).curve, start=1))
    assert "validation_rmse" not in diverged.data.metrics
    assert first.data.tags["mlflow.parentRunId"] == parent


def test_a_trial_does_not_wait_for_the_store(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, gate, log = experiment.start("slow"), threading.Event(), FinishedRun.log

    def slow(run: FinishedRun, client: MlflowClient) -> str:
        gate.wait(20)
        return log(run, client)

    monkeypatch.setattr(FinishedRun, "log", slow)
    for number in range(3):
        experiment.log_trial(trial(number), "slow", parent, {})  # would wait for ever, were it this thread's work
    gate.set()
    assert experiment.logged_trials("slow") == {0, 1, 2}


@pytest.mark.parametrize(
    ("ended_by", "status"), [(None, "FINISHED"), (KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")]
)
def test_what_was_logged_is_there_when_the_run_ends_however_it_ends(
    experiment: Experiment, client: MlflowClient, ended_by: type[BaseException] | None, status: str
) -> None:
    study = f"ended as {status}"
    try:
        with experiment.run(study) as parent:
            for number in range(4):
                experiment.log_trial(trial(number), study, parent, {})
            if ended_by is not None:
                raise ended_by
    except (KeyboardInterrupt, ValueError):
        pass
    assert client.get_run(parent).info.status == status
    trials = client.search_runs([experiment.id], f"tags.study = '{study}'")
    assert [run.info.status for run in trials] == ["FINISHED"] * 4


def test_a_trial_that_can_not_be_logged_is_the_callers_error(
    experiment: Experiment, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = experiment.start("failing")
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_: (_ for _ in ()).throw(ConnectionError("gone")))
        experiment.log_trial(trial(0), "failing", parent, {})
        deadline = time.monotonic() + 20
        with pytest.raises(SourceUnavailable, match="does not answer"):
            while time.monotonic() < deadline:
                experiment.log_trial(trial(1), "failing", parent, {})
        with pytest.raises(SourceUnavailable), experiment.run("of them") as parent:
            experiment.log_trial(trial(2), "failing", parent, {})
    assert client.get_run(parent).info.status == "FAILED"
    assert experiment.logged_trials("failing") == set()  # none of the halves counts
    experiment.log_trial(trial(0), "failing", parent, {})
    assert experiment.logged_trials("failing") == {0}


def test_a_trial_cut_in_half_by_a_kill_is_deleted_and_logged_anew(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    child = os.fork()
    if child == 0:
        experiment = Experiment(settings, "synthetic")
        MlflowClient.set_terminated = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        experiment.log_trial(trial(0), "study", experiment.start("night"), {})
        experiment.flush()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    client = MlflowClient(settings.tracking_uri)
    experiment = Experiment(settings, "synthetic")
    statuses = {run.info.run_name: run.info.status for run in client.search_runs([experiment.id])}
    assert statuses == {"night": "RUNNING", "rating-als-000": "RUNNING"}
    assert experiment.logged_trials("study") == set()
    experiment.end_abandoned()
    statuses = {run.info.run_name: run.info.status for run in client.search_runs([experiment.id])}
    assert statuses == {"night": "KILLED"}
    experiment.log_trial(trial(0), "study", experiment.start("next night"), {})
    assert experiment.logged_trials("study") == {0}


def test_runs_of_other_machines_are_left_alone(experiment: Experiment, client: MlflowClient) -> None:
    far = experiment.start("far", tags={"process": f"not-{socket.gethostname()}:999999"})
    near = experiment.start("near", tags={"process": f"{socket.gethostname()}:999999999"})
    experiment.end_abandoned()
    assert [client.get_run(run).info.status for run in (far, near)] == ["RUNNING", "KILLED"]


def test_a_long_curve_and_many_parameters_are_logged_whole(experiment: Experiment, client: MlflowClient) -> None:
    run = experiment.start("long", params={f"p{number}": number for number in range(130)})
    experiment.log_curve(run, "rmse", [1 / epoch for epoch in range(1, 2501)])
    assert len(client.get_run(run).data.params) == 130
    assert len(client.get_metric_history(run, "rmse")) == 2500


def test_files_of_a_run(experiment: Experiment, client: MlflowClient, tmp_path: Path) -> None:
    run = experiment.start("files")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(b"a")
    (tmp_path / "page.html").write_text("page")
    experiment.log_table(run, pd.DataFrame({"model": ["als"]}), "table.json")
    experiment.log_dict(run, {"checks": [1]}, "checks.json")
    experiment.log_artifact(run, tmp_path / "page.html")
    experiment.log_artifact(run, tmp_path / "figures", "figures")
    assert {file.path for file in client.list_artifacts(run)} == {"table.json", "checks.json", "page.html", "figures"}
    assert [file.path for file in client.list_artifacts(run, "figures")] == ["figures/a.png"]


def test_the_experiment_says_what_it_is_and_keeps_what_a_person_wrote(
    experiment: Experiment, client: MlflowClient, settings: Settings
) -> None:
    note = client.get_experiment(experiment.id).tags["mlflow.note.content"]
    first, _, rest = note.partition("\n")
    assert first.startswith("Matrix factorization of synthetic")
    assert f"#/experiments/{experiment.id}/runs?searchFilter=tags.stage%20%3D%20%27tune%27" in rest
    client.set_experiment_tag(experiment.id, "mlflow.note.content", "ours")
    again = Experiment(settings, "synthetic")
    assert again.id == experiment.id
    assert client.get_experiment(again.id).tags["mlflow.note.content"] == "ours"


def test_a_run_tells_of_its_environment_these_things_alone(experiment: Experiment, client: MlflowClient) -> None:
    run = client.get_run(experiment.start("plain"))
    assert set(run.data.tags) == {
        "code_version", "process", "dataset", "mlflow.source.name", "mlflow.user", "mlflow.runName"
    }  # fmt: skip


def test_a_finished_run_keeps_odd_values(experiment: Experiment, client: MlflowClient) -> None:
    points = [Metric("odd", float("nan"), 5, 1), Metric("odd", float("inf"), 5, 2)]
    run = FinishedRun(experiment.id, "odd", {"stage": "tune"}, {"n": "8"}, points, 1_700_000_000_000, 1_700_000_001_000)
    logged = client.get_run(run.log(client))
    assert (logged.info.status, logged.info.start_time, logged.info.end_time) == (
        "FINISHED", 1_700_000_000_000, 1_700_000_001_000
    )  # fmt: skip
    first, last = client.get_metric_history(logged.info.run_id, "odd")
    assert first.value != first.value and last.value > 1e300


def test_a_disk_that_is_full_is_one_line(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/mlruns/artifacts/1/checks.json")

    run = experiment.start("full")
    monkeypatch.setattr(MlflowClient, "log_dict", full)
    with pytest.raises(UsageError, match="checks.json: No space left"):
        experiment.log_dict(run, {}, "checks.json")


def test_the_same_ratings_logged_by_two_runs_at_once(
    experiment: Experiment, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database refuses at first is there at the second attempt."""
    real, calls = experiment._client.log_inputs, []

    def refused_once(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest")
        real(*arguments)

    monkeypatch.setattr(experiment._client, "log_inputs", refused_once, raising=False)
    run_id = experiment.start("validate")
    experiment.log_dataset(run_id, "0123", tmp_path, 9, "all")
    assert len(calls) == 2
    (found,) = client.get_run(run_id).inputs.dataset_inputs
    assert found.dataset.digest == "0123"
