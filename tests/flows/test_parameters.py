"""The parameters of the pipeline's flow: what Prefect's form shows of them, and what a run makes of them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.flow_engine import run_flow

from flows.parameters import configured
from flows.pipeline import pipeline
from flows.status import examine
from mfcore.config import PipelineConfig
from mfcore.errors import UsageError
from mfcore.settings import Settings, sqlite_uri
from tests.flows.conftest import connected


@pytest.fixture
def client(prefect_server: dict[str, str]) -> Iterator[SyncPrefectClient]:
    with connected(prefect_server) as client:
        yield client


def test_the_form_begins_with_what_people_change_first() -> None:
    schema = pipeline.parameters.model_dump_for_openapi()
    fields = schema["properties"]
    assert sorted(fields, key=lambda name: fields[name]["position"]) == ["dataset", "n_trials", "algorithms", "config"]
    assert "required" not in schema
    for field in fields.values():
        assert field["description"]
    kinds = {name: [one["type"] for one in fields[name]["anyOf"]] for name in fields if name != "config"}
    assert kinds == {
        "dataset": ["string", "null"],
        "n_trials": ["integer", "null"],
        "algorithms": ["array", "null"],
    }
    assert ">>>" not in json.dumps(schema)


def test_what_has_a_place_of_its_own_goes_before_the_configuration() -> None:
    config = {"dataset": {"name": "shop.csv", "user_column": "customer"}, "tuning": {"n_trials": 50, "seed": 3}}
    assert configured({"config": config}) == PipelineConfig.model_validate(config)
    changed = configured({"config": config, "dataset": "ml-1m", "n_trials": 2, "algorithms": ["als"]})
    assert (changed.dataset.name, changed.dataset.user_column) == ("ml-1m", "customer")
    assert (changed.tuning.n_trials, changed.tuning.seed) == (2, 3)
    assert changed.tuning.algorithms == ("als",)
    assert configured({}) == configured({"dataset": None, "config": None}) == PipelineConfig()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_trials": 0}, "tuning.n_trials: Input should be greater than or equal to 1"),
        ({"algorithms": ["asl"]}, "tuning.algorithms: unknown algorithm 'asl'; did you mean 'als'?"),
    ],
)
def test_what_is_not_possible_is_one_message(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        configured(given)
    assert str(refused.value).startswith(f"configuration: {message}")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"dataset": "ml-1m", "n_trials": 0, "config": {"dataset": {"name": "shop.csv"}}}, "ml-1m"),
        ({"config": {"dataset": {"name": "nowhere"}}}, "nowhere"),  # as deployments had them before
    ],
)
def test_a_run_is_named_after_its_data_set_and_says_what_is_wrong(
    client: SyncPrefectClient, given: dict[str, Any], name: str
) -> None:
    deployment = client.create_deployment(client.create_flow(pipeline), "asked", parameters=given)
    run = client.create_flow_run_from_deployment(deployment)
    run_flow(pipeline, flow_run=run, parameters=given, return_type="state")
    ended = client.read_flow_run(run.id)
    client.delete_deployment(deployment)
    assert ended.name == name
    assert ended.state is not None and ended.state.message is not None and ended.state.is_failed()
    assert "UsageError: configuration: tuning.n_trials" in ended.state.message or "'nowhere'" in ended.state.message


def test_status_looks_at_the_data_sets_of_either_kind_of_deployment(client: SyncPrefectClient, tmp_path: Path) -> None:
    schedule = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(days=300)), active=True)
    flow_id = client.create_flow(pipeline)
    deployments = [
        client.create_deployment(flow_id, f"{number}", tags=["mfcore", "nightly"], schedules=[schedule], parameters=one)
        for number, one in enumerate([{"dataset": "ml-1m"}, {"config": {"dataset": {"name": "ml-10m"}}}])
    ]
    settings = Settings(tmp_path / "home", sqlite_uri(tmp_path / "mlflow.db"), tmp_path, tmp_path / "exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", str(client.api_url))
        found = {finding.what for finding in examine(settings, None, timedelta(hours=26))}
    for deployment in deployments:
        client.delete_deployment(deployment)
    assert {"ml-1m, champion", "ml-10m, champion"} <= found
