"""Databases by URL: how long one is waited for, and what its driver says, in words of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.storage.urls import place_of, without_secrets

if TYPE_CHECKING:
    from sqlalchemy import URL

__all__ = ["Refusal", "database_errors", "patience", "refusal"]

_ANSWER_S = 10
"""Seconds in which a database has to answer a new connection, and SQLite another process to let go of it."""


class Refusal(NamedTuple):
    """What a database refuses.

    Attributes:
        kind: locked, full, read-only, not opened or silent; empty if it is about what was asked.
        reason: in a few words, with the driver's own behind them.
        advice: what to do, a sentence; empty for no kind.
    """

    kind: str
    reason: str
    advice: str


_CLASS = re.compile(r"^\(\w+(\.\w+)+\) ")
"""Of the error, which SQLAlchemy puts before what it says."""
_KINDS = {
    "locked": (
        re.compile(r"database (table )?is locked", re.I),
        "it is locked by another process",
        "Wait for that to end, or end it, and run this again.",
    ),
    "full": (
        re.compile(r"disk is full|disk I/O error|No space left on device", re.I),
        "its disk is full",
        "Free some space there and run this again.",
    ),
    "read-only": (
        re.compile(r"readonly database|read-only transaction", re.I),
        "it can't be written",
        "Mend its permissions, or name another.",
    ),
    "not opened": (
        re.compile(r"unable to open database file", re.I),
        "it can't be opened",
        "Make its folder, mend its permissions, or name another.",
    ),
    "silent": (
        re.compile(
            r"connection refused|could not connect|can't connect|timeout expired|timed out|no route to host|"
            r"network is unreachable|could not translate host name|server closed the connection|"
            r"connection reset|the database system is (starting|shutting)|failed: No such file or directory",
            re.I,
        ),
        "it does not answer",
        "Start it, or name one that answers.",
    ),
}


def refusal(error: BaseException, url: str = "") -> Refusal:
    """What is behind an error of SQLAlchemy, of a driver, or of who wraps one of them.

    Args:
        error: what was raised.
        url: the database's, with ${NAME} for what must not be said.

    >>> import sqlite3
    >>> refusal(sqlite3.OperationalError("database is locked")).reason
    'it is locked by another process (database is locked)'
    >>> refusal(sqlite3.OperationalError("no such column: x"))
    Refusal(kind='', reason='no such column: x', advice='')
    """
    # Without secrets before it is cut, which might leave a half of one.
    text = without_secrets(str(getattr(error, "orig", None) or error), url)
    said = first_line(_CLASS.sub("", text))
    for kind, (pattern, reason, advice) in _KINDS.items():
        if pattern.search(text):
            return Refusal(kind, f"{reason} ({said})", advice)
    return Refusal("", said, "")


@contextmanager
def database_errors(url: str, setting: str, aftermath: str = "") -> Iterator[None]:
    """Raise what a database refuses as one of our errors, without passwords.

    Args:
        url: with ${NAME} in place of passwords.
        setting: where it stands.
        aftermath: what is true all the same, for the end of the message.

    Raises:
        SourceUnavailable: it can't be had, or refuses what it is asked.
        UsageError: there is no driver for it.
    """
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    try:
        yield
    except (NoSuchModuleError, ImportError) as error:
        reason = first_line(without_secrets(str(error), url))
        message = f"{setting}: no driver for {url.partition(':')[0]}: {reason}. Install it, or name another in the URL."
        raise UsageError(message) from None
    except SQLAlchemyError as error:
        refused = refusal(error, url)
        end = f"; {aftermath}" if aftermath else ""
        advice = f" {refused.advice}" if refused.advice else ""
        # Not chained: the cause holds the connection's arguments.
        raise SourceUnavailable(f"{setting}: {place_of(url)}: {refused.reason}{end}.{advice}") from None


def patience(url: "URL", seconds: float | None = None) -> dict[str, Any]:
    """The arguments of a connection that is given up when nothing answers, for the drivers that can be told so.

    Args:
        url: of the database; what it says itself stays.
        seconds: in which it has to answer; None: 10. PostgreSQL counts whole ones, from 2.
    """
    seconds = _ANSWER_S if seconds is None else seconds
    waits: dict[str, Any] = {}
    backend, driver = url.get_backend_name(), url.get_driver_name()
    if backend == "sqlite":
        waits = {"timeout": seconds}
    elif backend == "postgresql" and driver.startswith("psycopg"):
        whole = max(2, round(seconds))
        # And of one that answered, and whose machine is gone since then.
        kept = {"keepalives_idle": whole, "keepalives_interval": whole // 2, "keepalives_count": 2}
        waits = {"connect_timeout": whole, "tcp_user_timeout": 2000 * whole, **kept}
    elif backend in ("mysql", "mariadb") and driver in ("mysqldb", "pymysql"):
        waits = {"connect_timeout": round(seconds)}
    return {name: value for name, value in waits.items() if name not in url.query}
