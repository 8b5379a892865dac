"""What drivers say, from the drivers themselves, and databases that accept a connection and then say nothing."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from mfcore.data.catalog import Database
from mfcore.data.database import content_of
from mfcore.errors import MfcoreError, SourceUnavailable, UsageError
from mfcore.serving import sink
from mfcore.storage import databases
from mfcore.storage.databases import database_errors, patience, refusal
from mfcore.tracking import store
from mfcore.tuning.trial_storage import open_trial_storage


@pytest.fixture
def silent() -> Iterator[str]:
    """Where connections are accepted, and nothing ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def said(path: Path, statement: str, *, before: str = "", query: str = "") -> databases.Refusal:
    """What is made of the error that SQLite has for a statement."""
    engine = create_engine(f"sqlite:///{path}{query}", connect_args={"timeout": 0})
    try:
        with engine.connect() as connection:
            if before:
                connection.execute(text(before))
            connection.execute(text(statement))
    except OperationalError as error:
        return refusal(error)
    finally:
        engine.dispose()
    raise AssertionError("nothing was refused")


def test_what_sqlite_says(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE r (x)")
        made.execute("BEGIN EXCLUSIVE")
        assert said(path, "SELECT * FROM r")[:2] == ("locked", "it is locked by another process (database is locked)")
    insert = "INSERT INTO r VALUES (zeroblob(99999))"
    assert said(path, insert, before="PRAGMA max_page_count = 2").kind == "full"
    assert said(path, insert, before="PRAGMA query_only = ON")[:2] == (
        "read-only",
        "it can't be written (attempt to write a readonly database)",
    )
    assert said(tmp_path / "none" / "x.db", "SELECT 1").kind == "not opened"
    assert said(path, "SELECT y FROM r") == ("", "no such column: y", "")


def test_what_postgresql_says_where_nobody_listens() -> None:
    url = "postgresql://me:${WORD}@127.0.0.1:1/shop"
    with pytest.raises(SourceUnavailable) as caught, database_errors(url, "dataset.url", "all is as it was"):
        create_engine("postgresql://me:secret@127.0.0.1:1/shop").connect()
    message = str(caught.value)
    assert message.startswith("dataset.url: postgresql://127.0.0.1:1/shop: it does not answer (connection to server at")
    assert message.endswith("Connection refused); all is as it was. Start it, or name one that answers.")


def test_no_secret_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "hunter2")
    error = OperationalError("SELECT", {}, sqlite3.OperationalError("role hunter2 may not. Ask hunter2."))
    assert refusal(error, "postgresql://me:${WORD}@h/d").reason == "role ${WORD} may not. Ask ${WORD}"


def test_a_driver_that_is_not_there_is_wrong_use() -> None:
    wanted = pytest.raises(UsageError, match=r"^export.to: no driver for nosuchdb: .+\. Install it")
    with wanted, database_errors("nosuchdb://h/d", "export.to"):
        create_engine("nosuchdb://h/d")


def test_what_a_url_says_of_its_own_patience_stays() -> None:
    assert patience(make_url("postgresql://h/d"))["connect_timeout"] == 10
    assert "connect_timeout" not in patience(make_url("postgresql://h/d?connect_timeout=99"))
    assert patience(make_url("sqlite:///x.db"), 0.5) == {"timeout": 0.5}


@pytest.mark.parametrize("door", ["dataset.url", "tuning.storage", "export.to", "tracking"])
def test_a_silent_postgresql_is_one_line(
    silent: str, door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is as low as the driver takes it, which counts whole seconds from two on."""
    for module, name in ((databases, "_ANSWER_S"), (sink, "_TIMEOUT_S"), (store, "_PROBE_S")):
        monkeypatch.setattr(module, name, 2)
    url = f"postgresql://{silent}/shop"
    began = time.monotonic()
    with pytest.raises(MfcoreError) as caught:
        if door == "dataset.url":
            content_of(Database(url, "r", None, ("user_id", "item_id", "rating")))
        elif door == "tuning.storage":
            with open_trial_storage(tmp_path / "study.log", url, "minimize", None):
                raise AssertionError
        elif door == "export.to":
            with sink._engine(url) as engine:
                engine.connect()
        else:
            store.prepare_store(url)
    assert 1 < time.monotonic() - began < 10
    assert (caught.value.exit_code, "\n" in str(caught.value)) == (4, False)
    assert "it does not answer (connection to server at" in str(caught.value)
