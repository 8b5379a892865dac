"""Spreadsheets and JSON as comma-separated text, which the one reader of tables then reads."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mfcore.data.layout import survey
from mfcore.errors import DataInvalid, first_line

__all__ = ["rewrite_json", "rewrite_sheet"]

_N_FIRST = 1000
"""Records that tell which fields there are."""


def rewrite_sheet(path: Path, target: Path, origin: str) -> None:
    """Write the longest sheet of an .xlsx workbook to `target`, each cell as the text of its value.

    Raises:
        DataInvalid: it is no workbook.
    """
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = max(book.worksheets, key=lambda table: table.max_row or 0)
            rows = sheet.iter_rows(values_only=True)
            _write(([_cell(cell) for cell in row] for row in rows if any(cell is not None for cell in row)), target)
        finally:
            book.close()
    except Exception as error:  # whatever the parser stumbles over in a damaged file
        raise DataInvalid(f"{origin} cannot be read as a spreadsheet: {first_line(error)}.") from error


def rewrite_json(path: Path, target: Path, origin: str) -> None:
    """Write a JSON list of records, or a record in each line, to `target` with a head line.

    A line that is no record becomes a row of one field, which goes into quarantine as it is.

    Raises:
        DataInvalid: it holds no records.
    """
    surveyed = survey(path, origin)
    with path.open(encoding="utf-8-sig" if surveyed.encoding == "utf-8" else surveyed.encoding) as text:
        start = text.read(1)
        while start.isspace():
            start = text.read(1)
        text.seek(0)
        if start == "[":
            records: Iterator[Any] = iter(_document(text.read(), origin))
        else:
            records = (_record(line) for line in text if line.strip())
        first = list(islice(records, _N_FIRST))
        names = list(dict.fromkeys(name for record in first if isinstance(record, dict) for name in record))
        if not names:
            raise DataInvalid(f"{origin} holds no JSON records such as " + '{"user_id": 1, "item_id": 2, "rating": 3}.')
        _write(chain([names], (_row(record, names) for record in chain(first, records))), target)


def _document(text: str, origin: str) -> list[Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataInvalid(f"{origin} is no JSON: {first_line(error)}.") from error
    return document if isinstance(document, list) else [document]


def _record(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return line.strip()


def _row(record: Any, names: list[str]) -> list[str]:
    if isinstance(record, dict):
        return [_cell(record.get(name)) for name in names]
    return [record if isinstance(record, str) else json.dumps(record)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return json.dumps(value, default=str)


def _write(rows: Iterable[list[str]], target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="", errors="replace") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
