"""MLflow's local SQLite database: made and migrated beside its place, so that it is never half of either."""

import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path

from mlflow import MlflowClient

from mfcore.errors import UsageError, first_line
from mfcore.settings import database_of, sqlite_uri
from mfcore.storage.files import locked, sync

__all__ = ["alone", "make_database", "migrate_database"]


def alone(tracking_uri: str) -> AbstractContextManager[object]:
    """Keep other processes of this machine from changing a local database meanwhile; a server looks after itself."""
    database = database_of(tracking_uri)
    return nullcontext() if database is None else locked(database)


def make_database(path: Path) -> None:
    """Make the database if there is none; a process killed meanwhile, or a full disk, leaves none."""
    if _is_there(path):
        return
    with locked(path):
        if _is_there(path):
            return
        new = _beside(path)
        try:
            MlflowClient(sqlite_uri(new)).search_experiments(max_results=1)
            sync(new)
            new.rename(path)
            sync(path.parent)
        finally:
            _remove(new)


def migrate_database(path: Path) -> None:
    """Bring the database of an older MLflow up to the one that is installed.

    A copy is migrated, then copied back in one transaction of SQLite's: who has the database
    open sees either the old one or the new one, and so does who comes after a kill.

    Raises:
        UsageError: MLflow could not migrate the copy; the database is as it was.
    """
    with locked(path):
        new = _beside(path)
        try:
            _copy(path, new)
            command = [sys.executable, "-m", "mlflow", "db", "upgrade", sqlite_uri(new)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
                raise UsageError(f"MLflow cannot migrate {path}: {first_line(said[-1])}. It is as it was.")
            _copy(new, path)
        finally:
            _remove(new)


def _is_there(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _beside(path: Path) -> Path:
    """Where a new database is prepared. Whoever holds the lock may clear what a killed process left there."""
    new = path.with_name(f".{path.name}.new")
    _remove(new)
    return new


def _remove(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-journal")):
        with suppress(FileNotFoundError):
            name.unlink()


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=20)) as new:
        old.backup(new)
