"""What a person or a program reads (tables, lists, one JSON document, log lines, a bar)."""

import json
import logging
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from mfcore.storage.artifacts import Artifact
    from mfcore.tracking.history import Reign
    from mfcore.tracking.registry import Registered

__all__ = [
    "print_artifact",
    "print_frame",
    "print_json",
    "print_lists",
    "print_table",
    "print_versions",
    "printable",
    "start_log",
]

_WIDTH = 100
"""Columns of a table of versions."""
_FINGERPRINT = 8
"""Digits of a fingerprint that a table shows."""

_NUMBER = re.compile(r"([+-]?[\d,.]+( ?%)?|–|)")
"""What stands to the right in its column, if all of the column does."""


def print_json(document: object) -> None:
    """Print one JSON document to stdout."""
    print(json.dumps(document, indent=2, default=_plain, allow_nan=False), flush=True)


def _plain(value: Any) -> object:
    """Numpy's scalars as Python's, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def print_artifact(artifact: "Artifact", as_json: bool, contents: object = None) -> None:
    """Print where an artifact lies, or all that is known of it."""
    if as_json:
        document = {**artifact.model_dump(mode="json"), "details": artifact.details}
        print_json(document if contents is None else {**document, "found": contents})
    else:
        print(artifact.path)


def print_lists(frame: "pd.DataFrame", key: str, title: str, as_json: bool) -> None:
    """Print ranked lists, one table for each value of the column `key`."""
    if as_json:
        print_json(json.loads(frame.to_json(orient="records")))
        return
    if "known_item" in frame and frame["known_item"].all():
        frame = frame.drop(columns="known_item")
    for group, rows in frame.groupby(key, sort=False, dropna=False):
        print_frame(title.format(group), rows.drop(columns=key))


def print_versions(versions: "Iterable[Registered]", as_json: bool, history: "Iterable[Reign] | None" = None) -> None:
    """Print versions of a registered model and, where a `history` is given, when they were champion."""
    reigns = [move for move in history or () if move.role == "champion"]
    if as_json:
        documents = []
        for version in versions:
            own = [move.model_dump(mode="json") for move in history or () if move.version == version.version]
            told = {} if history is None else {"history": own}
            documents.append({**version.model_dump(mode="json"), "uri": version.uri, **told})
        print_json(documents)
        return
    print_table("", [row for version in versions for row in _heads(version)], width=_WIDTH, folded="recipe")
    if reigns:
        print()
        rows = [
            {
                "champion": move.version,
                "from": _minute(move.since),
                "to": "now" if move.until is None else _minute(move.until),
                "came": move.why,
                "went": move.ended_by or "",
            }
            for move in reversed(reigns)
        ]
        print_table("", rows, width=_WIDTH, folded="came went")


def _heads(version: "Registered") -> Iterator[dict[str, object]]:
    """A row per head of a version: how it was made, and the figure it was chosen by with the split of that."""
    of_version = {
        "version": version.version,
        "alias": ", ".join(version.aliases),
        "made": _minute(version.made_at).partition(" ")[0],
    }
    n_ratings = version.trained_on.get("ratings")
    for objective, recipe in version.recipes.items():
        metric = objective.metric(0).partition("_at_")[0]
        name = next((name for name in version.metrics if name.startswith(f"test_{metric}")), None)
        yield {
            **of_version,
            "head": str(objective),
            "recipe": recipe.summary,
            "RMSE, NDCG (95 %)": None if name is None else _figure(version, name),
            "ratings": None if n_ratings is None else f"{n_ratings:,}",
            "split": version.split and version.split[:_FINGERPRINT],
        }
        of_version = dict.fromkeys(of_version, "")


def _figure(version: "Registered", name: str) -> str:
    ends = version.intervals.get(name)
    interval = "" if ends is None else f" ({ends[0]:.3f}–{ends[1]:.3f})"
    return f"{version.metrics[name]:.4f}{interval}"


def _minute(moment_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment_ms / 1000))


def print_frame(title: str, frame: "pd.DataFrame") -> None:
    """Print a frame as a table."""
    print_table(title, frame.astype(object).where(frame.notna(), None).to_dict("records"))


def print_table(
    title: str,
    rows: Iterable[Mapping[Any, object]],
    *,
    to_stderr: bool = False,
    width: int | None = None,
    folded: str | None = None,
) -> None:
    """Print rows of the same keys as a table, on stdout or beside it.

    Args:
        title: above it, a line or several; none if empty.
        rows: what is printed.
        to_stderr: where to.
        width: columns of the terminal; by default those it has.
        folded: which columns go over several lines where there is no room, separated by blanks; by default all.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, not str: rich reads markup in a str, and titles are data.
    rows = list(rows)
    cells = [[_cell(value) for value in row.values()] for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, column in zip(rows[0] if rows else (), zip(*cells, strict=True), strict=True):
        is_number = all(_NUMBER.fullmatch(cell) for cell in column)
        stays = folded is not None and name not in folded.split()
        justify: Literal["right", "left"] = "right" if is_number else "left"
        table.add_column(Text(printable(str(name))), justify=justify, overflow="fold", no_wrap=stays)
    for line in cells:
        table.add_row(*map(Text, line))
    is_terminal = (sys.stderr if to_stderr else sys.stdout).isatty()
    console = Console(stderr=to_stderr, width=width or (None if is_terminal else 160))
    if title:
        console.print(Text("\n".join(map(printable, title.split("\n"))), style="italic"))
    console.print(table)


def _cell(value: object) -> str:
    """Integers as they are: they may be ids."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}"
    return "–" if value is None else printable(str(value))


def printable(text: str) -> str:
    r"""Text with its control characters written out, for a terminal would obey them.

    Examples:
        >>> printable("Heat\x1b[31m") == r"Heat\x1b[31m"
        True
    """
    return "".join(
        f"\\x{ord(character):02x}" if unicodedata.category(character) == "Cc" else character for character in text
    )


class _JsonLines(logging.Formatter):
    """A JSON document per line: time (ISO 8601), level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_log(as_json: bool = False) -> None:
    """Send our own lines to stderr, as text or as JSON; a second call replaces the first."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    handler.setFormatter(_JsonLines() if as_json else text)
    log = logging.getLogger("mfcore")
    log.setLevel(logging.INFO)
    log.handlers = [handler]
    log.propagate = False
