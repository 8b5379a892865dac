"""Versions, aliases and their history, on real stores."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from flows.servers.databases import on_server, start_postgresql
from mfcore.errors import NothingToWorkFrom, SourceUnavailable, UsageError
from mfcore.evaluation.rules import Rule
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.tracking.history import Move, aliases_of, reigns
from mfcore.tracking.known_champion import KnownChampion
from mfcore.tracking.notes import version_note
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tracking.store import prepare_store
from tests.flows.conftest import free_port, stop, wait_for
from tests.unit.tracking.conftest import log

TAGS = {"data": "d", "recipes": '{"rating": {"algorithm": "als"}}', "metrics": '{"test_rmse": 0.9}'}


@pytest.fixture
def registry(request: pytest.FixtureRequest, settings: Settings) -> Registry:
    """Five versions that nobody has promoted, of a data set of the test's own."""
    client, own = prepare_store(settings.tracking_uri), Registry(settings, request.node.name)
    client.create_registered_model(own.name)
    for number in range(1, 6):
        client.create_model_version(own.name, "/nowhere", tags={**TAGS, "fingerprint": f"f{number}"})
    return own


def told(registry: Registry) -> list[tuple[str, int, str | None]]:
    return [(reign.role, reign.version, reign.ended_by) for reign in registry.history()]


def aliases(registry: Registry, client: MlflowClient) -> dict[str, int]:
    return {alias: int(version) for alias, version in client.get_registered_model(registry.name).aliases.items()}


def test_every_move_is_told_of_and_a_rollback_is_remembered(registry: Registry, client: MlflowClient) -> None:
    assert registry.history() == []
    registry.promote(1, "no champion before")
    registry.promote(2, "RMSE lower by 0.02")
    registry.promote(2, "again")  # changes nothing, and is no move
    registry.set_challenger(3, "RMSE higher by 0.01")
    assert registry.rollback("lists too short").version == 1
    assert told(registry) == [
        ("champion", 1, "version 2: RMSE lower by 0.02"),
        ("champion", 2, "version 1: lists too short"),
        ("previous", 1, "version 1: lists too short"),
        ("challenger", 3, None),
        ("champion", 1, None),
        ("previous", 2, None),
    ]
    held = registry.history()
    assert all(one.since <= (one.until or one.since) for one in held)
    assert held[0].until == held[1].since
    assert aliases(registry, client) == {"champion": 1, "previous": 2, "challenger": 3}
    assert registry.is_rolled_back(2) and not registry.is_rolled_back(1)
    registry.promote(2, "by hand")
    assert not registry.is_rolled_back(2) and not registry.is_rolled_back(1)


def test_a_rollback_lasts_through_the_next_run(registry: Registry) -> None:
    assert registry.succeed(1).version == 1
    assert registry.succeed(2).version == 2 and registry.rollback().version == 1
    assert registry.succeed(2).version == 1  # the same data again
    assert registry.succeed(3).version == 3  # other data
    assert registry.succeed(2).version == 3
    assert registry.promote(2).version == 2 and registry.succeed(2).version == 2


def test_what_was_moved_in_mlflow_itself_is_found(registry: Registry, client: MlflowClient) -> None:
    client.set_registered_model_alias(registry.name, "previous", "1")  # as before there was a history
    client.set_registered_model_alias(registry.name, "champion", "2")
    registry.promote(3, "won")
    assert told(registry) == [
        ("champion", 1, "version 2: found under the alias"),
        ("champion", 2, "version 3: won"),
        ("previous", 1, "version 3: won"),
        ("champion", 3, None),
        ("previous", 2, None),
    ]
    assert registry.rollback().version == 2


def test_a_kill_between_the_entry_and_the_alias_is_made_good(
    registry: Registry, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(1)
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "_settle", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            registry.promote(2)
    assert aliases(registry, client) == {"champion": 1}
    registry.promote(2)
    assert aliases(registry, client) == {"champion": 2, "previous": 1}
    assert len(registry.history()) == 3


@pytest.mark.parametrize("is_locked", [True, False], ids=["one_machine", "several_machines"])
def test_promotions_at_once_end_in_one_state(
    is_locked: bool, registry: Registry, settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_locked:
        monkeypatch.setattr("mfcore.tracking.registry.alone", lambda _: nullcontext())
    start = threading.Barrier(4)

    def promote(version: int) -> None:
        own = Registry(settings, registry.dataset)
        start.wait()
        own.promote(version, f"by {version}")

    threads = [threading.Thread(target=promote, args=(version,)) for version in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moves = Move.read(client.get_registered_model(registry.name).tags)
    assert sorted(move.version for move in moves) == [1, 2, 3, 4]
    assert aliases(registry, client) == aliases_of(moves)
    assert aliases(registry, client)["champion"] == moves[-1].version
    assert [reign.version for reign in reigns(moves) if reign.role == "champion"] == [move.version for move in moves]


def test_a_promotion_that_another_one_overtakes_does_not_undo_it(
    registry: Registry, settings: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mfcore.tracking.registry.alone", lambda _: nullcontext())
    registry.promote(1)
    overtaking, set_alias = [Registry(settings, registry.dataset)], Registry._set_alias

    def late(own: Registry, alias: str, version: int) -> None:
        if overtaking:
            overtaking.pop().promote(3, "at once")
        set_alias(own, alias, version)

    monkeypatch.setattr(Registry, "_set_alias", late)
    registry.promote(2, "a little slower")
    assert aliases(registry, client) == {"champion": 3, "previous": 2}


def test_names_that_no_model_can_have(settings: Settings) -> None:
    for dataset in ("shop/ratings.csv", "a:b", "o'brien"):
        registry = Registry(settings, dataset)
        assert registry.champion() is None and registry.versions() == [] and registry.history() == []
        with pytest.raises(NothingToWorkFrom, match="no champion") as caught:
            registry.require_champion()
        assert caught.value.exit_code == 5 and "\n" not in str(caught.value)
        with pytest.raises(UsageError, match="no version 1"):
            registry.promote(1)
    with pytest.raises(UsageError, match="no model named"):
        Registry(settings, "shop/ratings.csv").add(
            "models:/m-1",
            "run",
            recipes={Objective.RATING: Recipe(algorithm="als")},
            fingerprint="f",
            data="d",
            split="s",
            metrics={},
            description="",
        )


def test_a_model_is_pulled_as_it_was_registered_or_not_at_all(model: Model, tmp_path: Path) -> None:
    import mlflow

    settings = Settings.read({"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlruns/mlflow.db"})
    registry = log(settings, model)
    champion = registry.require_champion()
    np.testing.assert_array_equal(registry.pull(champion).factors.item_factors, model.factors.item_factors)
    served = mlflow.pyfunc.load_model(champion.uri)
    lists = served.predict(pd.DataFrame({"user_id": model.user_ids[:1]}), params={"k": 3})
    assert len(lists) == 3
    (array,) = (tmp_path / "mlruns" / "artifacts").rglob("bundle/rating/item_bias.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    with pytest.raises(SourceUnavailable, match="item_bias.npy differs"):
        registry.pull(champion)
    with pytest.raises(SourceUnavailable, match="item_bias.npy differs"):
        mlflow.pyfunc.load_model(champion.uri)
    array.parents[1].joinpath("manifest.json").unlink()
    shutil.rmtree(array.parent)
    with pytest.raises(SourceUnavailable, match="not available|damaged"):
        registry.pull(champion)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A real MLflow server on loopback that hands artifacts out itself."""
    port, database, store = free_port(), None, f"sqlite:///{tmp_path}/served.db"
    if request.param == "postgresql":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        database, url = start_postgresql(tmp_path / "postgresql")
        store = on_server(url, tmp_path).mlflow
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--serve-artifacts"]
    command += ["--artifacts-destination", str(tmp_path / "files"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--workers", "1"],
            cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}", process
        finally:
            stop(process)
            if database is not None:
                database.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_version_is_registered_pulled_and_asked_through_a_server(
    server: tuple[str, "subprocess.Popen[bytes]"], model: Model
) -> None:
    import mlflow

    settings = Settings.read({"MLFLOW_TRACKING_URI": server[0]})
    registry = log(settings, model)
    rules = [Rule(of="als", name=f"rule {number}", found=0.5, relation="≥", limit=0.4) for number in range(200)]
    first = registry.require_champion()
    note = version_note(first.recipes, "made", first.metrics, rules, experiment_id="1", run_id=first.run_id)
    second = registry.add(
        registry._client.get_model_version(first.name, "1").source,
        first.run_id,
        recipes=first.recipes,
        fingerprint="g",
        data="d",
        split="s",
        metrics=first.metrics,
        description=note + "." * (5000 - len(note)),
        verdict=rules,
    )
    assert registry.version(2).verdict == rules
    registry.promote(second.version, "by hand")
    assert registry.rollback().version == 1 and registry.is_rolled_back(2)
    np.testing.assert_array_equal(registry.pull(registry.version(2)).factors.item_factors, model.factors.item_factors)
    served = mlflow.pyfunc.load_model("models:/mfcore-films@champion")
    asked = pd.DataFrame({"user_id": model.user_ids[:2]})
    lists = served.predict(asked, params={"k": 3})
    assert lists["item_id"].tolist() == model.recommend(model.user_ids[:2], 3)["item_id"].tolist()
    assert set(lists["model_version"]) == {1}
    assert len(served.predict(asked.assign(item_id=model.item_ids[0]))) == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_runs_and_registry_on_a_server_and_when_it_is_gone(
    server: tuple[str, "subprocess.Popen[bytes]"], model: Model, tmp_path: Path
) -> None:
    from tests.unit.tracking.conftest import trial

    url, process = server
    settings = Settings.read({"MLFLOW_TRACKING_URI": url, "MFCORE_HOME": str(tmp_path / "home")})
    registry, experiment = log(settings, model), Experiment(settings, "films")
    with experiment.run("night") as parent:
        for number in range(20):
            experiment.log_trial(trial(number), "study", parent, {})
    assert experiment.logged_trials("study") == set(range(20))
    pulled = registry.pull(registry.require_champion())
    np.testing.assert_array_equal(pulled.factors.user_factors, model.factors.user_factors)
    assert [(one.role, one.version, one.why) for one in registry.history()] == [("champion", 1, "first")]

    assert KnownChampion(settings, "films").recall() is None
    KnownChampion(settings, "films").pull(registry)
    recalled = KnownChampion(settings, "films").recall()
    assert recalled is not None
    np.testing.assert_array_equal(recalled.factors.user_factors, model.factors.user_factors)
    log(settings, model, fingerprint="g")
    assert KnownChampion(settings, "films").recall() is None
    KnownChampion(settings, "films").pull(registry)
    assert KnownChampion(settings, "films").recall() is not None
    registry.rollback()
    assert KnownChampion(settings, "films").recall() is None

    champion = registry.require_champion()
    stop(process)
    experiment.log_trial(trial(20), "study", parent, {})
    uses = (experiment.flush, registry.champion, lambda: registry.pull(champion), lambda: Registry(settings, "films"))
    for use in uses:
        started = time.monotonic()
        with pytest.raises(SourceUnavailable) as caught:
            use()
        assert time.monotonic() - started < 30
        assert "\n" not in str(caught.value)
