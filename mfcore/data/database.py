"""Ratings out of a database, read in chunks through SQLAlchemy over a connection that can't write."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import (
    URL,
    ColumnClause,
    Connection,
    Engine,
    Select,
    TextClause,
    column,
    create_engine,
    event,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from mfcore.data.catalog import Database
from mfcore.errors import DataInvalid, SourceUnavailable, first_line, listed
from mfcore.storage.databases import database_errors, patience, refusal
from mfcore.storage.urls import place_of, with_secrets, without_secrets

__all__ = ["content_of", "extract"]

_CHUNK = 50_000
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""What makes a session refuse to write. A query is one statement, so that none before it can take this back."""


def content_of(source: Database) -> str:
    """A digest of the rows, the same whatever order the database gives them in.

    Raises:
        SourceUnavailable: the database can't be had, or refuses the statement.
        DataInvalid: columns are missing.
        UsageError: a variable or a driver is missing.
    """
    total = 0
    with _chunks(source) as (names, chunks):
        for chunk in chunks:
            for row in chunk:
                # Sums of digests don't depend on the order.
                text = "\x1f".join("\0" if cell is None else cell for cell in row)
                total += int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest())
        return f"{','.join(names)}:{total % (1 << 128):032x}"


def extract(source: Database, target: Path) -> str:
    """Write the rows to `target` as Parquet, each cell as text, and say where they came from.

    Raises:
        SourceUnavailable: the database can't be had, or refuses the statement.
        DataInvalid: columns are missing.
        UsageError: a variable or a driver is missing.
    """
    with _chunks(source) as (names, chunks):
        schema = pa.schema([(name, pa.string()) for name in names])
        with pq.ParquetWriter(target, schema) as writer:
            for chunk in chunks:
                columns = [pa.array(column, pa.string()) for column in zip(*chunk, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=schema))
    return place_of(source.url)


@contextmanager
def _chunks(source: Database) -> Iterator[tuple[list[str], Iterator[list[list[str | None]]]]]:
    """The columns that are there, and the rows in chunks, each cell as text or None."""
    url = make_url(with_secrets(source.url, "dataset.url"))
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        _require_file(str(url.database))
    with database_errors(source.url, "dataset.url"):
        engine = _read_only_engine(url)
        try:
            with engine.connect() as connection:
                statement = _statement(source, connection)
                with _only_read(source):
                    rows = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(statement)
                columns = list(rows.keys())
                _require(source, columns)
                names = [name for name in source.columns if name in columns]
                at = [columns.index(name) for name in names]
                yield names, ([[_text(row[i]) for i in at] for row in chunk] for chunk in rows.partitions())
        finally:
            engine.dispose()


@contextmanager
def _only_read(source: Database) -> Iterator[None]:
    """Say of a statement that would write that it is the statement, not the database, which is to be mended."""
    try:
        yield
    except DBAPIError as error:
        refused = refusal(error, source.url)
        if refused.kind != "read-only":
            raise
        said = first_line(without_secrets(str(error.orig), source.url))
        raise SourceUnavailable(
            f"dataset.query: it would change {place_of(source.url)}, of which ratings are only read ({said}). "
            "Give one SELECT statement."
        ) from None


def _read_only_engine(url: URL) -> Engine:
    """An engine whose sessions refuse to write, as far as the database knows such sessions; none commits."""
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database not in (None, "", ":memory:"):
        path = str(url.database)
        name = path if path.startswith("file:") else f"file:{quote(path)}"
        url = url.set(database=name).update_query_dict({"mode": "ro", "uri": "true"})
    engine = create_engine(url, connect_args=patience(url))

    @event.listens_for(engine, "connect")
    def _forbid_writing(connection: Any, _: Any) -> None:
        if backend in _READ_ONLY:
            cursor = connection.cursor()
            cursor.execute(_READ_ONLY[backend])
            cursor.close()
            connection.commit()

    return engine


def _statement(source: Database, connection: Connection) -> Select[Any] | TextClause:
    if source.query is not None:
        return text(source.query)
    schema, _, name = (source.table or "").rpartition(".")
    inspector = inspect(connection)
    if not (inspector.has_table(name, schema or None) or name in inspector.get_view_names(schema or None)):
        known = listed(inspector.get_table_names(schema or None))
        raise SourceUnavailable(f"{place_of(source.url)}: no table {source.table!r}; tables there: {known}.")
    names = [details["name"] for details in inspector.get_columns(name, schema or None)]
    _require(source, names)
    wanted: list[ColumnClause[Any]] = [column(name) for name in source.columns if name in names]
    return select(*wanted).select_from(table(name, schema=schema or None))


def _require(source: Database, names: Sequence[str]) -> None:
    missing = [name for name in source.columns[:3] if name not in names]
    if missing:
        raise DataInvalid(
            f"{place_of(source.url)}: no column {listed(map(repr, missing), 'or')}; found columns {listed(names)}. "
            "Name yours with dataset.user_column, dataset.item_column and dataset.rating_column."
        )


def _require_file(path: str) -> None:
    """SQLite would make the file and find nothing in it."""
    if not path.startswith("file:") and not Path(path).is_file():
        raise SourceUnavailable(f"no database {path}: check dataset.url.")


def _text(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    isoformat = getattr(cell, "isoformat", None)
    return str(isoformat()) if isoformat else str(cell)
