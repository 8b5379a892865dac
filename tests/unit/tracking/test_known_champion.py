"""Look-ups: fast while nothing moves in the store, and never yesterday's champion."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mfcore.models.model import Model
from mfcore.settings import Settings, database_of
from mfcore.tracking.known_champion import KnownChampion
from mfcore.tracking.registry import Registry
from tests.unit.tracking.conftest import log, settings_in

WITHOUT_MLFLOW = """
import sys
from mfcore.settings import Settings
from mfcore.tracking.known_champion import KnownChampion
model = KnownChampion(Settings.read(), "films").recall()
print(model.recommend(model.user_ids[:1], 3)["item_id"].tolist(), model.similar(model.item_ids[0], 3).shape)
print(sorted({"mlflow", "numba", "sqlalchemy"} & set(sys.modules)))
"""


def database(settings: Settings) -> Path:
    path = database_of(settings.tracking_uri)
    assert path is not None
    return path


def let_time_pass(settings: Settings) -> None:
    """Age the database's files by a minute."""
    for path in database(settings).parent.glob("mlflow.db*"):
        stat = path.stat()
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 60 * 10**9))


def version(settings: Settings, dataset: str | None = "films") -> int | None:
    """Of the champion that is recalled."""
    known = KnownChampion(settings, dataset)
    if known.recall() is None:
        return None
    (note,) = (known._folder).glob("champion.json")
    return int(json.loads(note.read_text())["uri"].rpartition("/")[2])


@pytest.fixture(scope="module")
def made(settings: Settings, model: Model) -> Settings:
    """A registry of two versions, of which the first is the champion."""
    log(settings, model, fingerprint="a")
    log(settings, model, fingerprint="b").promote(1)
    return settings


@pytest.fixture
def store(made: Settings, tmp_path: Path) -> tuple[Settings, Registry]:
    """The same with a database of the test's own."""
    own = settings_in(tmp_path)
    database(own).parent.mkdir()
    shutil.copy(database(made), database(own))
    registry = Registry(own, "films")
    let_time_pass(own)
    return own, registry


def test_what_was_pulled_is_recalled_without_mlflow(store: tuple[Settings, Registry], model: Model) -> None:
    settings, registry = store
    assert KnownChampion(settings, "films").recall() is None
    pulled = KnownChampion(settings, "films").pull(registry)
    recalled = KnownChampion(settings, "films").recall()
    assert recalled is not None
    np.testing.assert_array_equal(recalled.factors.item_factors, pulled.factors.item_factors)
    assert KnownChampion(settings, None).recall() is None
    assert KnownChampion(settings, "other").recall() is None
    environment = {"MFCORE_HOME": str(settings.home), "MLFLOW_TRACKING_URI": settings.tracking_uri}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MLFLOW],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = model.recommend(model.user_ids[:1], 3)["item_id"].tolist()
    assert done.stdout.splitlines() == [f"{expected} (3, 6)", "[]"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_whoever_moves_the_alias_the_next_look_up_knows(store: tuple[Settings, Registry], mode: str) -> None:
    settings, registry = store
    # A connection that stays, so that what is written in WAL mode stays beside the database.
    with closing(sqlite3.connect(database(settings))) as connection:
        assert connection.execute(f"PRAGMA journal_mode={mode}").fetchone() == (mode,)
        connection.execute("CREATE TABLE others (name)")
        let_time_pass(settings)
        for champion, move in ((2, lambda: registry.promote(2)), (1, registry.rollback)):
            KnownChampion(settings, "films").pull(registry)
            assert version(settings) == 3 - champion
            move()
            assert version(settings) is None, "it was written just now"
            let_time_pass(settings)
            assert version(settings) is None, "it is another state"
            KnownChampion(settings, "films").pull(registry)
            assert version(settings) == champion


def test_a_store_that_moves_meanwhile_is_asked_again(
    store: tuple[Settings, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, registry = store
    fetch = registry.fetch

    def fetch_late(*args: object) -> Path:
        registry.promote(2)
        let_time_pass(settings)
        return fetch(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "fetch", fetch_late)
    KnownChampion(settings, "films").pull(registry)
    assert version(settings) is None


def test_files_that_are_gone_or_damaged_are_asked_for(store: tuple[Settings, Registry]) -> None:
    settings, registry = store
    KnownChampion(settings, "films").pull(registry)
    (note,) = settings.home.rglob("champion.json")
    document = json.loads(note.read_text())
    bundle = settings.home / "bundle"
    shutil.copytree(document["folder"], bundle)
    note.write_text(json.dumps({**document, "folder": str(bundle)}))
    assert version(settings) == 1
    (bundle / "rating" / "item_bias.npy").write_bytes(b"")
    assert version(settings) is None
    shutil.rmtree(bundle)
    assert version(settings) is None
    note.write_text("{")
    assert version(settings) is None


def test_a_home_that_cannot_be_written_costs_time_alone(store: tuple[Settings, Registry]) -> None:
    settings, registry = store
    (settings.home / "champions").write_text("no folder")
    assert len(KnownChampion(settings, "films").pull(registry).item_ids)
    assert KnownChampion(settings, "films").recall() is None


def test_another_registry_than_the_tracking_store_is_always_asked(
    store: tuple[Settings, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, registry = store
    KnownChampion(settings, "films").pull(registry)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////elsewhere.db")
    assert version(settings) is None


@pytest.fixture
def answers() -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """A server's address and what it answers next; the last answer stays."""
    queue: list[tuple[int, str]] = [(200, "{}")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.startswith("/api/2.0/mlflow/registered-models/search?filter=name+LIKE+%27mfcore-%25%27")
            code, body = queue.pop(0) if len(queue) > 1 else queue[0]
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", queue
        server.shutdown()
        thread.join()


def test_a_server_is_asked_what_it_has(answers: tuple[str, list[tuple[int, str]]]) -> None:
    from mfcore.tracking.known_champion import _state_of

    url, queue = answers
    states = []
    for version in (1, 2, 1):
        aliases = [{"alias": "champion", "version": str(version)}]
        queue[:] = [(200, json.dumps({"registered_models": [{"name": "mfcore-films", "aliases": aliases}]}))]
        states.append(_state_of(url))
    assert states[0] == states[2] != states[1] and states[0] is not None
    for answer in ((200, '{"next_page_token": "more"}'), (200, "<html>"), (401, "{}"), (500, "")):
        queue[:] = [answer]
        assert _state_of(url) is None
    assert _state_of("http://127.0.0.1:1") is None
