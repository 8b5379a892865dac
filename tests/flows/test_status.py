"""What `mfcore status` says of nights that went well, that failed, and that did not happen."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.status import examine
from mfcore.doctor import Finding
from mfcore.settings import Settings, sqlite_uri
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from tests.flows.conftest import Mfcore

HOUR_MS = 3_600_000
DAY = timedelta(hours=26)
Night = Callable[[str, float], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("status")
    return Settings(folder / "home", sqlite_uri(folder / "mlflow.db"), folder, folder / "exports")


@pytest.fixture
def dataset(request: pytest.FixtureRequest, shared: Settings) -> str:
    """A data set of the test's own, with a champion and its export."""
    name = request.node.name.removeprefix("test_")[:30]
    client = MlflowClient(shared.tracking_uri)
    registry = Registry(shared, name)
    client.create_registered_model(registry.name)
    tags = {"fingerprint": "f", "data": "d", "recipes": '{"rating": {"algorithm": "als"}}', "metrics": "{}"}
    client.create_model_version(registry.name, "/nowhere", tags=tags)
    registry.promote(1)
    export(shared, name, 1)
    return name


@pytest.fixture
def night(shared: Settings, dataset: str) -> Night:
    """Log a night that ended so many hours ago."""
    client, experiment = MlflowClient(shared.tracking_uri), Experiment(shared, dataset)

    def log(status: str, hours_ago: float) -> None:
        end = int(time.time() * 1000 - hours_ago * HOUR_MS)
        run = client.create_run(experiment.id, start_time=end - 90_000, tags={"stage": "pipeline"})
        client.set_terminated(run.info.run_id, status, end)

    return log


def export(settings: Settings, dataset: str, version: int) -> None:
    folder = settings.exports / dataset / "latest"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"model_version": version, "made_at": datetime.now(UTC).isoformat()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(autouse=True)
def without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def found(settings: Settings, dataset: str, within: timedelta = DAY) -> dict[str, Finding]:
    return {one.what.removeprefix(f"{dataset}, "): one for one in examine(settings, dataset, within)}


def test_a_night_that_went_well(shared: Settings, dataset: str, night: Night) -> None:
    night("FAILED", 9)
    night("FINISHED", 3)
    said = found(shared, dataset)
    assert [(what, one.status) for what, one in said.items()] == [
        ("last night", "ok"),
        ("champion", "ok"),
        ("export", "ok"),
    ]
    assert said["last night"].found.endswith("90 s")
    assert said["champion"].found.startswith("version 1 (als for rating) since ")


def test_a_night_that_did_not_happen(shared: Settings, dataset: str, night: Night) -> None:
    night("FINISHED", 27)
    said = found(shared, dataset)["last night"]
    assert (said.status, "more than 26 hours ago" in said.found) == ("fail", True)
    assert found(shared, dataset, timedelta(hours=28))["last night"].status == "ok"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_night_that_failed_since(shared: Settings, dataset: str, night: Night, status: str) -> None:
    night("FINISHED", 5)
    night(status, 1)
    said = found(shared, dataset)["last night"]
    assert (said.status, f"the one since then {status.lower()}" in said.found) == ("fail", True)


def test_no_night_ever(shared: Settings, dataset: str) -> None:
    assert found(shared, dataset)["last night"].found == "no run of the pipeline was ever complete"


def test_an_export_that_is_not_the_champion(shared: Settings, dataset: str, night: Night) -> None:
    night("FINISHED", 1)
    export(shared, dataset, 7)
    said = found(shared, dataset)["export"]
    assert (said.status, said.found) == ("fail", "version 7, not the champion's 1: `mfcore export` writes it")
    manifest = shared.exports / dataset / "latest" / "manifest.json"
    manifest.write_text("{}")
    assert "is damaged" in found(shared, dataset)["export"].found
    manifest.unlink()
    assert "no export at" in found(shared, dataset)["export"].found


def test_the_command_exits_with_6_and_says_why_in_json(
    shared: Settings, dataset: str, night: Night, mfcore: Mfcore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("MFCORE_HOME", shared.home),
        ("MFCORE_EXPORTS", shared.exports),
        ("MLFLOW_TRACKING_URI", shared.tracking_uri),
    ):
        monkeypatch.setenv(name, str(value))
    night("FINISHED", 3)
    well = mfcore("status", "--dataset", dataset)
    assert (well.code, "complete" in well.out) == (0, True), well.err
    stale = mfcore("status", "--dataset", dataset, "--hours", 2, "--json")
    assert stale.code == 6
    assert [one["what"] for one in stale.document if one["status"] == "fail"] == [f"{dataset}, last night"]


def test_a_server_that_does_not_answer_is_said(
    shared: Settings, dataset: str, night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    night("FINISHED", 1)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    said = found(shared, dataset)
    assert (said["Prefect"].status, said["Prefect"].found) == ("fail", "no server answers at 127.0.0.1:9")
    assert said["last night"].status == "ok"
