"""The tracking store: reached, or said in one line why it is not."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, cast
from urllib.parse import urlparse

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from mfcore.errors import MfcoreError, SourceUnavailable, UsageError, first_line
from mfcore.health import silence_of
from mfcore.settings import database_of, is_server
from mfcore.storage.databases import patience, refusal
from mfcore.tracking import configure
from mfcore.tracking.database import make_database, migrate_database

__all__ = ["prepare_store", "store_errors"]

_PROBE_S = 10
"""Seconds in which a server or database has to answer at first; MLflow by itself would try for minutes."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def prepare_store(tracking_uri: str) -> MlflowClient:
    """Connect to the tracking store, making or migrating a local database first where it takes that.

    Returns:
        MLflow's client; its methods raise what `store_errors` says.

    Raises:
        SourceUnavailable: it does not answer.
        UsageError: it is none, or can't be written where it has to be.
    """
    configure()
    try:
        with store_errors(tracking_uri):
            client = _open(tracking_uri)
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        raise _unusable(tracking_uri, first_line(error)) from error
    return cast(MlflowClient, _Guarded(client, tracking_uri))


@contextmanager
def store_errors(tracking_uri: str) -> Iterator[None]:
    """Raise what goes wrong around the store, not in what is asked of it, as one of our errors.

    Raises:
        SourceUnavailable: it does not answer, or is locked.
        UsageError: its disk is full, or it can't be written.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        ours = _ours(tracking_uri, error)
        if ours is None:
            raise
        raise ours from error


class _Guarded:
    """MLflow's client, each of whose methods runs under `store_errors`."""

    def __init__(self, client: MlflowClient, tracking_uri: str) -> None:
        self._client = client
        self._tracking_uri = tracking_uri

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            with store_errors(self._tracking_uri):
                return method(*args, **kwargs)

        return call


def _open(tracking_uri: str) -> MlflowClient:
    database = database_of(tracking_uri)
    if database is None:
        _probe(tracking_uri)
    else:
        try:
            make_database(database)
        except UsageError as error:
            raise _unusable(tracking_uri, first_line(error)) from error
    mlflow.set_tracking_uri(tracking_uri)
    try:
        return _connected(tracking_uri)
    except MlflowException as error:
        # What MLflow advises for the database of an older version, in all of its versions.
        if database is None or "mlflow db upgrade" not in str(error):
            raise
        migrate_database(database)
        return _connected(tracking_uri)


def _connected(tracking_uri: str) -> MlflowClient:
    client = MlflowClient(tracking_uri)
    client.search_experiments(max_results=1)
    return client


def _probe(tracking_uri: str) -> None:
    """Ask a server or a database once, and wait for no longer than a person would.

    Raises:
        SourceUnavailable: no answer.
    """
    if is_server(tracking_uri):
        reason = silence_of(f"{tracking_uri.rstrip('/')}/health", _PROBE_S)
        if reason is not None:
            raise _unreachable(tracking_uri, f"it does not answer ({reason})")
        return
    try:
        backend = make_url(tracking_uri).get_backend_name()
    except (SQLAlchemyError, ValueError):
        return  # no database's URL
    if backend in ("postgresql", "mysql"):
        engine = create_engine(tracking_uri, connect_args=patience(make_url(tracking_uri), _PROBE_S))
        try:
            engine.connect().close()
        except SQLAlchemyError as error:
            raise _unreachable(tracking_uri, refusal(error).reason) from error
        finally:
            engine.dispose()


def _ours(tracking_uri: str, error: Exception) -> MfcoreError | None:
    """What to raise in place of an error; None where it is not about what is around us."""
    if isinstance(error, RequestException | ConnectionError | TimeoutError):
        return _unreachable(tracking_uri, f"it does not answer ({first_line(error)})")
    if isinstance(error, OSError):
        if error.errno not in _DISK:
            return None
        where = f" to {error.filename}" if error.filename else ""
        return UsageError(f"cannot write{where}: {error.strerror}. Free some space there, or mend its permissions.")
    refused = refusal(error)
    if refused.kind in ("locked", "full"):
        kind = SourceUnavailable if refused.kind == "locked" else UsageError
        return kind(f"{_cannot_use(tracking_uri)}: {refused.reason}. {refused.advice}")
    if refused.kind in ("read-only", "not opened"):
        return _unusable(tracking_uri, refused.reason)
    if refused.kind == "silent" and not is_server(tracking_uri):
        return _unreachable(tracking_uri, refused.reason)
    code = error.error_code if isinstance(error, MlflowException) else ""
    if code == "TEMPORARILY_UNAVAILABLE" or (is_server(tracking_uri) and "API request to" in str(error)):
        return _unreachable(tracking_uri, f"it does not answer ({first_line(error)})")
    return None


def _unusable(tracking_uri: str, reason: str) -> UsageError:
    return UsageError(
        f"{_cannot_use(tracking_uri)}: {reason}. Set MLFLOW_TRACKING_URI to one that can be reached and written."
    )


def _unreachable(tracking_uri: str, reason: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"{_cannot_use(tracking_uri)}: {reason}. Start it, or set MLFLOW_TRACKING_URI to one that answers."
    )


def _cannot_use(tracking_uri: str) -> str:
    return f"cannot use the tracking store {_without_secrets(tracking_uri)}"


def _without_secrets(uri: str) -> str:
    url = urlparse(uri)
    return uri if url.password is None else uri.replace(f":{url.password}@", ":***@")
