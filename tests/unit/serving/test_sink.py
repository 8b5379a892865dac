"""Tables in a database: the same as the files, all of a version or none of it, old ones gone in the end."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import create_engine, inspect, text

from mfcore.config import ExportConfig
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving import sink
from mfcore.serving.export import export_model
from mfcore.serving.sink import write_tables
from mfcore.storage.artifacts import write_manifest
from tests.contract.synthetic import synthetic_ratings

TABLES = {"user_factors", "item_factors", "ranking_user_factors", "ranking_item_factors", "recommendations",
          "similar_items"}  # fmt: skip


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four exports of different length."""
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None)
    model.titles[:3] = ['Comma, "quoted"', "Line\nbreak \\ ünïcode", ""]
    folder = tmp_path_factory.mktemp("exports")
    for n in range(1, 5):
        export_model(model, folder / str(n), {"model_uri": f"models:/x/{n}"}, ExportConfig(n_recommendations=n))
    return [folder / str(n) for n in range(1, 5)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tables.db'}"
        return
    found = request.getfixturevalue("postgres")
    yield found
    engine = create_engine(found)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()


def read(url: str, query: str) -> pd.DataFrame:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = pd.read_sql(text(query), connection)
    engine.dispose()
    return found


def names(url: str) -> tuple[set[str], set[str]]:
    engine = create_engine(url)
    inspector = inspect(engine)
    found = set(inspector.get_table_names()), set(inspector.get_view_names())
    engine.dispose()
    return found


def longest(url: str) -> int:
    """Which of the exports the view shows."""
    return int(read(url, 'SELECT max("rank") AS n FROM films_recommendations')["n"][0])


def test_several_files_of_recommendations_are_one_table(url: str, tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None)
    export_model(model, tmp_path / "1", {}, ExportConfig(n_recommendations=4, rows_per_file=25))
    files = sorted((tmp_path / "1").glob("recommendations-*.parquet"))
    assert len(files) > 2
    write_tables(tmp_path / "1", url, "films", 3)
    found = read(url, "SELECT user_id, item_id FROM films_recommendations")
    expected = pd.concat([pd.read_parquet(file, columns=["user_id", "item_id"]) for file in files])
    assert sorted(map(tuple, found.values.tolist())) == sorted(map(tuple, expected.values.tolist()))
    assert names(url)[1] == {f"films_{name}" for name in TABLES}


def test_every_table_is_that_of_the_file(exports: list[Path], url: str) -> None:
    assert write_tables(exports[2], url, "films", 3) == 1
    assert names(url)[1] == {f"films_{name}" for name in TABLES}
    for name in TABLES:
        expected, found = pd.read_parquet(exports[2] / f"{name}.parquet"), read(url, f"SELECT * FROM films_{name}")
        assert list(found) == list(expected) and len(found) == len(expected)
        for column in expected:
            one, other = expected[column], found[column]
            if column == "factors":
                other = other.map(lambda row: json.loads(row) if isinstance(row, str) else row)
                assert np.array_equal(np.stack(one), np.stack(other).astype(np.float32))
            elif pd.api.types.is_float_dtype(one):
                assert np.array_equal(one, other.astype(one.dtype), equal_nan=True)
            else:
                assert [None if pd.isna(cell) else cell for cell in one] == [
                    None if pd.isna(cell) else cell for cell in other
                ], (name, column)


def test_the_newest_version_is_shown_and_old_ones_go(exports: list[Path], url: str) -> None:
    for number, folder in enumerate(exports, start=1):
        assert write_tables(folder, url, "films", 2) == number
        assert longest(url) == number
        assert write_tables(folder, url, "films", 2) == number, "the same again is left as it is"
    found = read(url, "SELECT version, is_latest, model_uri FROM mfcore_exports ORDER BY version")
    assert found["version"].tolist() == [3, 4] and found["is_latest"].astype(bool).tolist() == [False, True]
    assert found["model_uri"].tolist() == ["models:/x/3", "models:/x/4"]
    kept = {f"films_{name}_v{version}" for name in TABLES for version in (3, 4)}
    assert names(url)[0] == {"mfcore_exports", *kept}
    assert write_tables(exports[0], url, "songs", 1) == 1 and longest(url) == 4, "another data set has its own"
    with pytest.raises(UsageError, match="those of the data set films"):
        write_tables(exports[0], url, "FILMS", 1)


def test_a_failure_in_the_middle_leaves_the_version_before(
    exports: list[Path], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tables(exports[0], url, "films", 1)
    before = names(url)
    fill, n_filled = sink._fill, 0

    def fill_until_it_breaks(connection: Any, name: str, path: Path) -> None:
        nonlocal n_filled
        fill(connection, name, path)
        n_filled += 1
        if n_filled == 4:
            if connection.dialect.name == "postgresql":
                (process,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
                killer = create_engine(url)
                with killer.begin() as other:
                    other.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})
                killer.dispose()
                time.sleep(0.2)
            else:
                connection.exec_driver_sql("PRAGMA max_page_count = 1")  # the disk is full

    with monkeypatch.context() as patch:
        patch.setattr(sink, "_fill", fill_until_it_breaks)
        with pytest.raises(SourceUnavailable, match="the version before is still shown"):
            write_tables(exports[1], url, "films", 1)
    assert n_filled >= 4 and longest(url) == 1 and names(url) == before
    assert write_tables(exports[1], url, "films", 1) == 2 and longest(url) == 2


def test_what_cannot_be_a_place_for_tables_is_said(exports: list[Path], tmp_path: Path) -> None:
    for wrong, error, said in (
        ("mysql://h/d", UsageError, "PostgreSQL and SQLite, not mysql"),
        ("nonsense", UsageError, "not of the form"),
        ("postgresql+nodriver://h/d", UsageError, "no driver"),
        ("postgresql://me:${NO_SUCH_WORD}@h/d", UsageError, "NO_SUCH_WORD"),
        (f"sqlite:///{tmp_path / 'none' / 'x.db'}", SourceUnavailable, "unable to open"),
        ("postgresql://127.0.0.1:1/d", SourceUnavailable, "refused"),
    ):
        with pytest.raises(error, match=said):
            write_tables(exports[0], wrong, "films", 1)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "recommendations.parquet").write_bytes(b"x")
    write_manifest(damaged)
    (damaged / "recommendations.parquet").write_bytes(b"y")
    with pytest.raises(SourceUnavailable, match="no whole export"):
        write_tables(damaged, f"sqlite:///{tmp_path / 'x.db'}", "films", 1)
    assert not (tmp_path / "x.db").exists()


def test_a_database_that_others_write_to_is_waited_for_and_then_said(
    exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_TIMEOUT_S", 0.2)
    with sqlite3.connect(tmp_path / "busy.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SourceUnavailable, match="locked"):
            write_tables(exports[0], f"sqlite:///{tmp_path / 'busy.db'}", "films", 1)
    other.close()
    assert names(f"sqlite:///{tmp_path / 'busy.db'}") == (set(), set())
