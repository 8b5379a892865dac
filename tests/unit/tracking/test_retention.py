"""What of MLflow's runs, models and versions may go, on a real store."""

from collections.abc import Sequence

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from mfcore.settings import Settings
from mfcore.storage.retention import Rule
from mfcore.tracking.registry import Registry
from mfcore.tracking.retention import Shelf, empty_trash, known_datasets
from mfcore.tracking.runs import Experiment
from tests.unit.tracking.conftest import trial

ALL = Rule(before=4e9, keep=1)
TAGS = {"data": "d", "recipes": '{"rating": {"algorithm": "als"}}', "metrics": '{"test_rmse": 0.9}'}


def night(experiment: Experiment, study: str, numbers: Sequence[int]) -> str:
    with experiment.run("pipeline", tags={"stage": "pipeline"}) as run_id:
        for number in numbers:
            experiment.log_trial(trial(number), study, run_id, {})
    return run_id


def names(settings: Settings, experiment: Experiment, study: str) -> list[str]:
    found = MlflowClient(settings.tracking_uri).search_runs(
        [experiment.id], f"tags.study = '{study}'", ViewType.ALL, order_by=["tags.trial"]
    )
    return [f"{run.info.run_name[-3:]}{'' if run.info.lifecycle_stage == 'active' else ' deleted'}" for run in found]


@pytest.mark.slow
def test_the_best_trials_of_old_runs_stay_and_the_others_are_not_logged_again(settings: Settings) -> None:
    experiment = Experiment(settings, "old")
    night(experiment, "a", range(4))
    night(experiment, "a", [4])
    night(experiment, "b", range(3))
    shelf = Shelf(settings, "old")
    assert not shelf.old_trials(Rule(before=0, keep=1), best=1)
    found = shelf.old_trials(ALL, best=1)
    assert len(found) == 4  # of study a; the run that has study b is the newest
    shelf.remove(found)
    assert names(settings, experiment, "a") == ["000", "001 deleted", "002 deleted", "003 deleted", "004 deleted"]
    assert names(settings, experiment, "b") == ["000", "001", "002"]
    assert experiment.logged_trials("a") == set(range(5))
    night(experiment, "a", [5])
    night(experiment, "c", [0])
    shelf.remove(shelf.old_trials(ALL, best=2))
    assert names(settings, experiment, "a")[-1] == "005"
    assert names(settings, experiment, "b") == ["000", "001", "002 deleted"]
    assert experiment.logged_trials("a") == set(range(6))
    assert not shelf.old_trials(ALL, best=2)


def test_trials_of_a_run_that_is_under_way_stay(settings: Settings) -> None:
    experiment = Experiment(settings, "busy")
    with experiment.run("pipeline", tags={"stage": "pipeline"}) as run_id:
        for number in range(3):
            experiment.log_trial(trial(number), "a", run_id, {})
        experiment.flush()
        night(experiment, "b", range(2))
        assert not Shelf(settings, "busy").old_trials(ALL, best=1)
    assert len(Shelf(settings, "busy").old_trials(ALL, best=1)) == 2


def test_versions_with_an_alias_or_rolled_back_stay(settings: Settings, client: MlflowClient) -> None:
    registry = Registry(settings, "versions")
    client.create_registered_model(registry.name)
    for number in range(1, 8):
        client.create_model_version(registry.name, "/nowhere", tags={**TAGS, "fingerprint": f"f{number}"})
    registry.promote(2)
    registry.promote(3)
    registry.rollback()  # 3 is not wanted
    registry.promote(4)
    registry.promote(5)
    registry.set_challenger(1)
    shelf = Shelf(settings, "versions")
    expired, staying = shelf.old_versions(ALL)
    assert [one.name for one in expired] == ["6", "2"]
    assert [one.version for one in staying] == [7, 5, 4, 3, 1]
    shelf.remove(expired)
    assert [one.version for one in registry.versions()] == [7, 5, 4, 3, 1]
    assert registry.require_champion().version == 5 and registry.rollback().version == 4
    assert "versions" in known_datasets(settings)


@pytest.mark.slow
def test_the_trash_of_a_local_database_is_emptied_by_age(settings: Settings, client: MlflowClient) -> None:
    experiment = Experiment(settings, "trash")
    run_id = night(experiment, "a", [])
    client.delete_run(run_id)
    empty_trash(settings, 1)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    empty_trash(settings, 0)
    found = client.search_runs([experiment.id], run_view_type=ViewType.ALL)
    assert run_id not in [run.info.run_id for run in found]
