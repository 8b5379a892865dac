import json
import logging
import sqlite3
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import create_engine, text

from mfcore.config import DatasetConfig, PipelineConfig
from mfcore.data import database
from mfcore.data.catalog import resolve
from mfcore.data.readers import Tables, read
from mfcore.data.sources import fetch, identity
from mfcore.errors import DataInvalid, SourceUnavailable, UsageError

ROWS = [("007", 10, 4.5, 1_500_000_000), ("ü", 11, 3.0, 1_500_000_001), ("8", 12, None, None)]


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        columns = "customer TEXT, item_id INTEGER, rating REAL, timestamp INTEGER, note TEXT"
        connection.execute(f"CREATE TABLE reviews ({columns})")
        connection.executemany("INSERT INTO reviews VALUES (?, ?, ?, ?, 'x')", ROWS)
    connection.close()
    return f"sqlite:///{tmp_path / 'shop.db'}"


def load(tmp_path: Path, **config: object) -> Tables:
    settings = DatasetConfig(**{"name": "shop", "user_column": "customer", **config})
    folder = tmp_path / "raw"
    folder.mkdir()
    return read(folder, fetch(resolve(settings), folder, tmp_path / "downloads"), settings)


@pytest.mark.parametrize("where", [{"table": "reviews"}, {"query": "SELECT * FROM reviews ORDER BY item_id"}])
def test_a_table_or_a_query_is_read_in_chunks(sqlite, tmp_path, monkeypatch, where):
    monkeypatch.setattr(database, "_CHUNK", 2)
    tables = load(tmp_path, url=sqlite, **where)
    frame = tables.ratings
    assert frame["user_id"].tolist() == ["007", "ü", "8"]
    assert frame["item_id"].tolist() == [10, 11, 12]
    assert frame["rating"].tolist()[:2] == [4.5, 3.0]
    assert frame["rating"].isna().tolist() == [False, False, True]
    assert frame["timestamp"].tolist()[:2] == [1_500_000_000, 1_500_000_001]
    assert tables.origin == f"shop ({'reviews' if 'table' in where else 'query'})"


def test_identity_follows_the_rows_and_not_their_order(sqlite):
    def of(query: str) -> object:
        return identity(resolve(DatasetConfig(name="shop", user_column="customer", url=sqlite, query=query)))

    rows = "SELECT customer, item_id, rating FROM reviews"
    assert of(f"{rows} ORDER BY item_id") == of(f"{rows} ORDER BY item_id DESC")
    assert of(rows) != of(f"{rows} WHERE item_id < 12")
    assert of(rows) != of("SELECT customer, item_id, rating + 1 AS rating FROM reviews")


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({"table": "missing"}, SourceUnavailable, "no table 'missing'; tables there: reviews"),
        ({"table": "reviews", "user_column": "user"}, DataInvalid, "no column 'user'; found columns customer, item_id"),
        ({"query": "SELECT customer FROM reviews"}, DataInvalid, "no column 'item_id' or 'rating'; found columns cust"),
        ({"query": "SELECT 1 FRM x"}, SourceUnavailable, "syntax error"),
        ({"url": "sqlite:////nowhere/shop.db", "table": "x"}, SourceUnavailable, "no database /nowhere/shop.db"),
        ({"url": "nosuchdb://host/x", "table": "x"}, UsageError, "no driver for nosuchdb"),
        ({"url": "postgresql://u:${UNSET_NAME}@host/x", "table": "x"}, UsageError, r"refers to \$\{UNSET_NAME\}"),
        ({"name": "ml-100k", "table": "reviews"}, UsageError, "need a name of their own"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(sqlite, tmp_path, config, error, words):
    with pytest.raises(error, match=words) as raised:
        load(tmp_path, **{"url": sqlite, **config})
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host/db",
        "mysql://me:x${A}@host/db",
        "postgresql://host/db?password=hunter2",
        "hunter2 ://",
    ],
)
def test_a_configuration_with_a_password_in_it_is_refused_without_repeating_it(url, tmp_path):
    with pytest.raises(UsageError) as raised:
        PipelineConfig.load(overrides=[f'dataset.url="{url}"', "dataset.table=x", "dataset.name=shop"])
    assert "hunter2" not in str(raised.value)
    assert "dataset" in str(raised.value)
    with pytest.raises(ValidationError) as unadorned:
        PipelineConfig.model_validate({"dataset": {"name": "shop", "url": url, "table": "x"}})
    assert "hunter2" not in str(unadorned.value)


def test_a_reference_is_no_password():
    for url in ("mysql://me:${A}@host/db", "mssql+pyodbc://?odbc_connect=Driver%3DX%3BPwd%3D${A}%3B"):
        assert DatasetConfig(name="shop", url=url, table="x").url == url


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"table": "x"}, "table and query need a url"),
        ({"url": "sqlite://"}, "either a table or a query"),
        ({"url": "sqlite://", "table": "x", "query": "SELECT 1"}, "either a table or a query"),
        ({"url": "sqlite://", "query": "DROP TABLE x"}, "begins with SELECT"),
    ],
)
def test_half_a_database_is_refused(config, words):
    with pytest.raises(ValueError, match=words):
        DatasetConfig(name="shop", **config)


def test_a_password_gets_nowhere(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2/geheim")
    caplog.set_level(logging.DEBUG)
    config = DatasetConfig(name="shop", url="postgresql+psycopg2://me:${SHOP_PASSWORD}@127.0.0.1:9/db", table="x")
    with pytest.raises(SourceUnavailable) as raised:
        fetch(resolve(config), tmp_path, tmp_path)
    message = str(raised.value)
    assert "postgresql://127.0.0.1:9/db" in message
    error: BaseException | None = raised.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__cause__
    assert "hunter2" not in caplog.text
    assert "hunter2" not in json.dumps(config.model_dump(mode="json"))
    assert "hunter2" not in repr(resolve(config))


@pytest.mark.slow
def test_postgresql_with_its_own_types(postgres, tmp_path):
    engine = create_engine(postgres)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        connection.execute(
            text(
                "CREATE TABLE shop.reviews (customer UUID, item_id BIGINT, rating NUMERIC(3, 1), "
                '"timestamp" TIMESTAMPTZ, title TEXT)'
            )
        )
        connection.execute(
            text(
                "INSERT INTO shop.reviews SELECT ('00000000-0000-0000-0000-' || lpad(u::text, 12, '0'))::uuid, i, "
                "(1 + (u * i) % 9 / 2.0), timestamptz '2020-01-01 00:00:00+00' + make_interval(secs => u), "
                "'Item ' || i "
                "FROM generate_series(1, 300) u, generate_series(1, 200) i"
            )
        )
    engine.dispose()
    tables = load(tmp_path, url=postgres, table="shop.reviews")
    frame = tables.ratings.sort_values(["user_id", "item_id"])
    assert len(frame) == 60_000
    assert len(tables.unread) == 0
    assert frame.iloc[-1].tolist() == ["00000000-0000-0000-0000-000000000300", 200, 4.0, 1_577_836_800 + 300]
    assert tables.items.set_index("item_id")["title"][17] == "Item 17"
    dataset = resolve(DatasetConfig(name="shop", user_column="customer", url=postgres, table="shop.reviews"))
    assert identity(dataset) == identity(dataset)


def test_postgresql_says_which_statement_it_refuses(postgres, tmp_path):
    with pytest.raises(SourceUnavailable, match=r'postgresql://.*: relation "nothing" does not exist'):
        load(tmp_path, url=postgres, query="SELECT * FROM nothing")


WRITING = [
    "WITH x AS (SELECT 1) DELETE FROM reviews WHERE item_id = 10",
    "WITH x AS (SELECT 1 AS a) UPDATE reviews SET rating = 1",
    "WITH x AS (SELECT 1 AS a) INSERT INTO reviews (item_id) SELECT a FROM x RETURNING customer, item_id, rating",
]


@pytest.mark.parametrize("query", WRITING)
def test_a_query_that_writes_is_refused_and_writes_nothing(sqlite, tmp_path, query):
    before = (tmp_path / "shop.db").read_bytes()
    with pytest.raises(
        SourceUnavailable, match=r"dataset\.query: it would change .*attempt to write a readonly database.*one SELECT"
    ):
        load(tmp_path, url=sqlite, query=query)
    assert (tmp_path / "shop.db").read_bytes() == before


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM reviews; DELETE FROM reviews",
        "SELECT * FROM reviews; COMMIT; DELETE FROM reviews; COMMIT;",
        "SELECT ';' AS x; DELETE FROM reviews",
    ],
)
def test_a_query_of_several_statements_is_refused(query):
    with pytest.raises(ValueError, match="one statement"):
        DatasetConfig(name="shop", url="sqlite:///shop.db", query=query)


def test_a_query_may_end_as_people_write_it(sqlite, tmp_path):
    assert len(load(tmp_path, url=sqlite, query="SELECT * FROM reviews ;\n").ratings) == 3


@pytest.mark.parametrize("name", ["plain.db", "a b%20#1.db"])
def test_a_database_that_others_write_to_meanwhile_can_be_read(tmp_path, name):
    writer = sqlite3.connect(tmp_path / name)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE r (customer, item_id, rating)")
    writer.execute("INSERT INTO r VALUES (1, 2, 3)")
    writer.commit()
    try:
        assert len(load(tmp_path, url=f"sqlite:///{tmp_path / name}", table="r").ratings) == 1
    finally:
        writer.close()


@pytest.mark.parametrize(
    "query",
    [
        "WITH x AS (DELETE FROM kept RETURNING *) SELECT * FROM x",
        "WITH x AS (SELECT 1) DELETE FROM kept",
        "SELECT *, set_config('transaction_read_only', 'off', false), lo_create(0) FROM kept",
    ],
)
def test_postgresql_is_only_read(postgres, tmp_path, query):
    engine = create_engine(postgres)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS kept"))
        connection.execute(text("CREATE TABLE kept AS SELECT 1 AS customer, 2 AS item_id, 3 AS rating"))
    with pytest.raises(SourceUnavailable, match="read-only|read-write|data-modifying|syntax error"):
        load(tmp_path, url=postgres, query=query)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar() == 1
    engine.dispose()
