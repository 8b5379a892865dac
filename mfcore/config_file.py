"""A configuration as a TOML file that explains itself, and that `PipelineConfig.load` reads back."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from mfcore.config import PipelineConfig, SearchRange

__all__ = ["to_toml"]

_WIDTH = 98
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(config: PipelineConfig) -> str:
    r"""Every key with its value, and its description as a comment; a key that is not set is a comment too.

    >>> from mfcore.config import ExportConfig
    >>> text = to_toml(PipelineConfig(export=ExportConfig(n_similar=5)))
    >>> print(text[text.index("# Most similar") :].partition("\n# ")[0])
    # Most similar items for each item
    n_similar = 5
    """
    return "\n\n".join("\n".join(_section(name, getattr(config, name))) for name in PipelineConfig.model_fields)


def _section(name: str, section: BaseModel) -> Iterator[str]:
    for place, paragraph in enumerate(inspect.cleandoc(type(section).__doc__ or "").split("\n\n")):
        if place:
            yield "#"
        yield from _comment(paragraph)
    yield f"[{name}]"
    tables = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        yield from _comment(field.description or "")
        if isinstance(value, Mapping):
            tables[key] = value
            if not value:
                yield f"# [{name}.{key}]"
        else:
            yield f"# {key} is not set" if value is None else f"{key} = {_value(value)}"
    for key, table in tables.items():
        for subsection, entries in table.items():
            yield f"\n[{name}.{key}.{_key(subsection)}]"
            for entry, value in entries.items():
                yield f"{_key(entry)} = {_value(value)}"


def _comment(paragraph: str) -> Iterator[str]:
    """The paragraph as comments of bounded width; an example, which is indented, keeps its lines."""
    lines = paragraph.splitlines() if paragraph.startswith(" ") else textwrap.wrap(paragraph, _WIDTH)
    yield from (f"# {line}" for line in lines)


def _value(value: Any) -> str:
    if isinstance(value, SearchRange):
        entries = value.model_dump(exclude_none=True)
        return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in entries.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    # Strings and integers are written as JSON writes them, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _value(name)
