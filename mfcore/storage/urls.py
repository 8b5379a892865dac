"""URLs of databases: a password stands in the environment, and ${NAME} in its place."""

import os
import re
from typing import Any
from urllib.parse import quote

from mfcore.errors import UsageError

__all__ = ["place_of", "refuse_secrets", "with_secrets", "without_secrets"]

_REFERENCE = re.compile(r"\$\{(\w+)\}")


def refuse_secrets(url: str) -> None:
    """Refuse a URL with a password in it, so that none can get into a log or a manifest.

    Raises:
        ValueError: it has one, or is no URL.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the url is not of the form dialect://user:${PASSWORD}@host:port/database") from None
    secrets: dict[str, Any] = {"password": parts.password}
    secrets |= {key: value for key, value in parts.query.items() if re.search("pass|secret|token|key", key, re.I)}
    # Some drivers take a whole connection string as one parameter.
    for value in parts.query.values():
        secrets |= dict(re.findall(r"(?i)\b(pwd|password|secret|token)\s*=\s*([^;]*)", str(value)))
    for key, value in secrets.items():
        if value and not re.fullmatch(r"\$\{\w+\}", str(value)):
            raise ValueError(f"the url holds a {key}: write ${{NAME}} in its place, and set NAME in the environment")


def with_secrets(url: str, setting: str) -> str:
    """The URL with the values of the environment's variables in place of ${NAME}; `setting` is where it stands.

    Raises:
        UsageError: a variable is not set.
    """

    def value_of(reference: "re.Match[str]") -> str:
        value = os.environ.get(reference[1])
        if value is None:
            raise UsageError(f"{setting} refers to ${{{reference[1]}}}, which is not set in the environment.")
        return quote(value, safe="")

    return _REFERENCE.sub(value_of, url)


def without_secrets(message: str, url: str) -> str:
    """The message with ${NAME} in place of the values that `url` refers to."""
    for name in _REFERENCE.findall(url):
        value = os.environ.get(name)
        message = message.replace(value, f"${{{name}}}") if value else message
    return message


def place_of(url: str) -> str:
    """The database as a message may name it.

    >>> place_of("postgresql+psycopg2://me:${SECRET}@db:5432/shop?sslmode=require")
    'postgresql://db:5432/shop'
    """
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    host = f"{parts.host or ''}{f':{parts.port}' if parts.port else ''}"
    return f"{parts.get_backend_name()}://{host}/{parts.database or ''}"
