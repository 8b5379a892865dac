"""The files of Jester: ratings of jokes from −10 to 10, in a wide matrix or a long table."""

import html
import io
import mmap
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.layout import Layout
from mfcore.data.tables import RawRatings, read_text
from mfcore.errors import DataInvalid, first_line

__all__ = ["read_long", "read_wide"]

_NOT_RATED = 99
_LONGEST_TITLE = 80


def read_wide(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read jester-data-*.xls or .csv: one row per user, first the count of ratings, then one column per joke.

    Users are numbered by row, from 1, and jokes by column. 99 means "not rated".
    """
    path = sorted(folder.glob("jester-data-*"))[0]
    origin = f"{origin}: {path.name}"
    matrix = _matrix(path, origin)
    if matrix.shape[1] < 2:
        raise DataInvalid(f"{origin}: found {matrix.shape[1]} columns, not a count and a column for each joke.")
    counts, values = matrix[:, 0], matrix[:, 1:]
    is_rated = values != _NOT_RATED
    counted = is_rated.sum(axis=1)
    users, items = np.nonzero(is_rated)
    frame = pd.DataFrame({"user_id": users + 1, "item_id": items + 1, "rating": values[is_rated]})
    frame.index += 1  # one row of the file gives many ratings, so they are numbered themselves
    wrong = frame.index[(counted != counts)[users]]
    frame.loc[wrong, "rating"] = np.nan
    texts = [f"row {u + 1} says {counts[u]:g} ratings, holds {counted[u]}" for u in users[wrong - 1]]
    unread = pd.DataFrame({"row": wrong, "column": "row", "text": texts}, dtype=object)
    return RawRatings(frame, None, unread), _texts(folder)


def _matrix(path: Path, origin: str) -> NDArray[np.float64]:
    if path.suffix.lower() == ".xls":
        rows = _sheet(path, origin)
    else:
        rows = [line.split(",") for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if line]
    if not rows:
        raise DataInvalid(f"{origin} is empty.")
    n_columns = len(rows[0])
    if any(len(row) != n_columns for row in rows):
        odd = next(number for number, row in enumerate(rows, 1) if len(row) != n_columns)
        raise DataInvalid(f"{origin}: row {odd:,} has not {n_columns} columns like the first.")
    try:
        matrix = np.array(rows, dtype=np.float64)
    except ValueError:
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row, 1):
                if not _is_number(cell):
                    raise DataInvalid(f"{origin}: row {number:,}, column {column} is {cell!r}, not a number.") from None
        raise
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0] + 1
        raise DataInvalid(f"{origin}: row {row:,}, column {column} is not a finite number.")
    return matrix


def _sheet(path: Path, origin: str) -> list[list[Any]]:
    import xlrd

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            sheet = xlrd.open_workbook(file_contents=content, logfile=io.StringIO(), ragged_rows=True).sheet_by_index(0)
            return [sheet.row_values(row) for row in range(sheet.nrows)]
    except Exception as error:  # whatever the parser stumbles over in a damaged file
        raise DataInvalid(f"{origin} cannot be read as a spreadsheet: {first_line(error)}.") from error


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def read_long(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read jester_ratings.dat (user, item and rating with two tabs between them) and jester_items.dat."""
    names = ("user_id", "item_id", "rating")
    layout = Layout("\t\t", names, *names, header=False, quoted=False)
    raw = read_text(folder / "jester_ratings.dat", f"{origin}: jester_ratings.dat", layout)
    return raw, _texts(folder)


def _texts(folder: Path) -> pd.DataFrame | None:
    """The jokes, from jester_items.dat ("N:" before each) or init1.html, init2.html and so on; None without any."""
    jokes: dict[str, str] = {}
    items = folder / "jester_items.dat"
    if items.exists():
        parts = re.split(r"^(\d+):\s*$", _decoded(items), flags=re.MULTILINE)
        jokes = dict(zip(parts[1::2], parts[2::2], strict=True))
    for page in folder.glob("init*.html"):
        body = re.search(r"<!--\s*begin of joke\s*-->(.*?)<!--\s*end of joke\s*-->", _decoded(page), re.S | re.I)
        number = page.stem.removeprefix("init")
        if body and number.isdigit():
            jokes[number] = body[1]
    texts = {number: _plain(markup) for number, markup in jokes.items()}
    rows = [{"item_id": number, "title": _title(text), "text": text} for number, text in texts.items()]
    return pd.DataFrame(rows, dtype=object) if rows else None


def _plain(markup: str) -> str:
    """Text without its HTML, breaks and paragraphs being line ends."""
    text = re.sub(r"\s+", " ", markup)
    text = re.sub(r"<\s*(br|/p|p|/?div|/?li|/?ul)\b[^>]*>", "\n", text, flags=re.I)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _title(text: str) -> str:
    """The first words of a joke."""
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST_TITLE else words[: _LONGEST_TITLE - 1].rsplit(" ", 1)[0] + "…"


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
