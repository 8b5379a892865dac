"""`Sink`: an export's tables in a database, where readers see all of the old version or all of the new."""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    types,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mfcore.errors import SourceUnavailable, UsageError
from mfcore.serving.tables import files_of
from mfcore.storage.artifacts import damage, read_manifest
from mfcore.storage.databases import database_errors, patience
from mfcore.storage.urls import place_of, with_secrets

__all__ = ["write_tables"]

_BATCH = 50_000
"""Rows sent at a time."""
_TIMEOUT_S = 10
_LONGEST = 30
"""Letters of a data set's name in names of tables: those of PostgreSQL have 63 at most."""


def write_tables(folder: Path, url: str, dataset: str, n_versions: int) -> int:
    """Write the tables of an export into a database under a new version, and show that one.

    Each table is `<dataset>_<table>_v<version>`, and the view `<dataset>_<table>` shows the newest version; the table
    `mfcore_exports` has a row for each version, one of them with `is_latest`. All of it happens in one transaction:
    until it ends, and if it fails, readers see the version before. Rows go to PostgreSQL by COPY.

    Args:
        folder: a whole export.
        url: of a PostgreSQL or SQLite database, as SQLAlchemy has it, a password as ${NAME}.
        dataset: what tables are named after.
        n_versions: how many stay, this one included; tables of older ones are dropped.

    Returns:
        The version that is shown now; the one before where it was made from the very same files.

    Raises:
        SourceUnavailable: the export is not whole, or the database can't be had or refuses something.
        UsageError: another kind of database, or a variable or a driver that is missing.
    """
    problem = damage(folder)
    if problem is not None:
        raise SourceUnavailable(f"{folder} is no whole export: {problem}. Make it again with `mfcore export`.")
    manifest = read_manifest(folder)
    digest = hashlib.sha256(json.dumps(manifest["files"], sort_keys=True).encode()).hexdigest()
    with _engine(url) as engine, engine.begin() as connection:
        versions = _versions(connection)
        name = _name_in_tables(dataset)
        known = connection.execute(versions.select().where(versions.c.name == name).order_by(versions.c.version)).all()
        if any(row.dataset != dataset for row in known):
            raise UsageError(f"{place_of(url)}: tables named {name}_… are those of the data set {known[0].dataset}.")
        shown = next((row for row in known if row.is_latest), None)
        if shown is not None and shown.digest == digest:
            return int(shown.version)
        version = 1 + max((int(row.version) for row in known), default=0)
        tables = files_of(folder, "parquet")
        for stem, files in tables.items():
            table = f"{name}_{stem}"
            _fill(connection, f"{table}_v{version}", files)
            connection.exec_driver_sql(f'DROP VIEW IF EXISTS "{table}"')
            connection.exec_driver_sql(f'CREATE VIEW "{table}" AS SELECT * FROM "{table}_v{version}"')
        connection.execute(versions.update().where(versions.c.name == name).values(is_latest=False))
        connection.execute(
            versions.insert().values(
                name=name, dataset=dataset, version=version, is_latest=True, digest=digest,
                model_uri=manifest.get("model_uri"), made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                tables=json.dumps(list(tables)),
            )
        )  # fmt: skip
        for row in known[: max(0, len(known) + 1 - n_versions)]:
            for stem in json.loads(row.tables):
                connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}_{stem}_v{row.version}"')
            connection.execute(versions.delete().where(versions.c.name == name, versions.c.version == row.version))
    return version


def _name_in_tables(dataset: str) -> str:
    """The data set's name in letters, digits and _.

    >>> _name_in_tables("ml-100k"), len(_name_in_tables("x" * 99))
    ('ml_100k', 30)
    """
    name = re.sub(r"\W+", "_", dataset.lower(), flags=re.ASCII).strip("_") or "export"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}_{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    """An engine for the database; what it refuses is an error of ours, without passwords."""
    try:
        parts = make_url(with_secrets(url, "export.to"))
    except ArgumentError:
        raise UsageError("export.to is not of the form dialect://user:${PASSWORD}@host:port/database.") from None
    backend = parts.get_backend_name()
    if backend not in ("postgresql", "sqlite"):
        raise UsageError(f"export.to: tables are switched in one transaction on PostgreSQL and SQLite, not {backend}.")
    with database_errors(url, "export.to", "the version before is still shown"):
        engine = create_engine(parts, connect_args=patience(parts, _TIMEOUT_S))
        if backend == "sqlite":
            # The driver would begin a transaction at the first INSERT, after tables are made.
            event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            yield engine
        finally:
            engine.dispose()


def _versions(connection: Connection) -> Table:
    """The table of versions, which is made where there is none."""
    table = Table(
        "mfcore_exports",
        MetaData(),
        Column("name", String(63), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("dataset", Text, nullable=False),
        Column("is_latest", Boolean, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("model_uri", Text),
        Column("made_at", Text, nullable=False),
        Column("tables", Text, nullable=False),
    )
    table.create(connection, checkfirst=True)
    if connection.dialect.name == "postgresql":
        # Who comes second waits until the first one's version is there.
        connection.exec_driver_sql("LOCK TABLE mfcore_exports IN SHARE ROW EXCLUSIVE MODE")
    return table


def _fill(connection: Connection, name: str, files: Sequence[Path]) -> None:
    """Make the table `name` and fill it with the rows of Parquet files."""
    is_postgresql = connection.dialect.name == "postgresql"

    def type_of(field: pa.Field) -> "types.TypeEngine[Any]":
        if pa.types.is_boolean(field.type):
            return Boolean()
        if pa.types.is_integer(field.type):
            return BigInteger()
        if pa.types.is_floating(field.type):
            return REAL() if field.type.bit_width == 32 else Double()
        if pa.types.is_list(field.type):
            return ARRAY(REAL()) if is_postgresql else Text()
        return Text()

    schema = pq.read_schema(files[0])
    table = Table(name, MetaData(), *(Column(field.name, type_of(field)) for field in schema))
    table.create(connection)
    for batch in (batch for file in files for batch in pq.ParquetFile(file).iter_batches(_BATCH)):
        columns = [_plain(column, "{%s}" if is_postgresql else "[%s]") for column in batch.columns]
        if connection.dialect.driver == "psycopg2":
            _copy(connection, name, columns)
        else:
            rows = zip(*(column.to_pylist() for column in columns), strict=True)
            connection.execute(table.insert(), [dict(zip(batch.schema.names, row, strict=True)) for row in rows])
    keys = [field.name for field in schema if field.name in ("user_id", "item_id")][:1]
    for key in keys:
        connection.exec_driver_sql(f'CREATE INDEX "{name}_i" ON "{name}" ("{key}")')


def _copy(connection: Connection, name: str, columns: Sequence[pa.Array]) -> None:
    sent = io.BytesIO()
    names = [str(place) for place in range(len(columns))]
    csv.write_csv(pa.table(list(columns), names=names), sent, csv.WriteOptions(include_header=False))
    sent.seek(0)
    driver = connection.dialect.loaded_dbapi
    try:
        connection.connection.cursor().copy_expert(f'COPY "{name}" FROM STDIN WITH (FORMAT csv)', sent)
    except driver.Error as error:
        raise SQLAlchemyError(str(error)) from None


def _plain(column: pa.Array, brackets: str) -> pa.Array:
    """Lists of numbers as text; anything else as it is."""
    if not pa.types.is_list(column.type):
        return column
    return pa.array([brackets % ",".join(map(str, row.values.to_numpy())) for row in column], pa.string())
