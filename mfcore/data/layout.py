"""How a delimited text is laid out, found out from its first lines."""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from charset_normalizer import from_bytes

from mfcore.config import DatasetConfig
from mfcore.data.heads import Roles, by_name, by_position, by_value, is_number, is_table, no_columns
from mfcore.data.times import DateOrder
from mfcore.errors import DataInvalid

__all__ = ["SEPARATORS", "Layout", "Survey", "quoted_fields", "sniff", "survey"]

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", "::": "double colon", " ": "space"}
_BLOCK = 1 << 22
_HEAD = 1 << 16
_MAX_SAMPLE = 500
_SAMPLE_BYTES = 1 << 16
_UTF8 = "utf-8"
_WESTERN = "cp1252"
_WRITTEN = (
    *(_WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""Encodings that programs write by default somewhere; rarer ones explain short texts too well."""
_AS_COHERENT = 0.05
"""Western Europe's is taken where another explains a text better by no more than this."""


@dataclass(frozen=True)
class Layout:
    """How a delimited text is laid out.

    Attributes:
        separator: one character, or one character twice ("::").
        names: the columns in their order.
        user: name of the user's column; so with the next ones.
        item: of the item's.
        rating: of the rating's.
        timestamp: of the time's, None where there is none.
        title: of the item's title's, None where there is none.
        header: whether a line names the columns.
        quoted: whether fields may be quoted.
        escape: what stands before a quote inside a field, where that is not another quote.
        n_before: lines before the head line.
        date_order: whether the day or the month comes first in dates, where that is known.
        notes: how the columns were found, a sentence each.
    """

    separator: str
    names: tuple[str, ...]
    user: str
    item: str
    rating: str
    timestamp: str | None = None
    title: str | None = None
    header: bool = True
    quoted: bool = True
    escape: str | None = None
    n_before: int = 0
    date_order: DateOrder | None = None
    notes: tuple[str, ...] = ()

    @property
    def wanted(self) -> list[str]:
        """The columns to read."""
        columns = (self.user, self.item, self.rating, self.timestamp, self.title)
        return [name for name in columns if name is not None]

    @property
    def n_skipped(self) -> int:
        """Lines before the first row of data."""
        return self.n_before + self.header

    @property
    def physical_names(self) -> list[str]:
        """The columns as one character separates them; between the two characters of "::" lies an empty one."""
        if len(self.separator) == 1:
            return list(self.names)
        return [part for name in self.names for part in (f"\0{name}", name)][1:]


@dataclass(frozen=True)
class Survey:
    """What one pass over the bytes of a text tells.

    Attributes:
        n_lines: how many lines it has.
        encoding: what it is encoded in.
        has_quotes: whether there is any quotation mark.
        is_guessed: whether the encoding is the likeliest of several.
    """

    n_lines: int
    encoding: str
    has_quotes: bool
    is_guessed: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What to say of it."""
        return (f"not UTF-8: read as {self.encoding.replace('_', '-')}",) if self.is_guessed else ()


def survey(path: Path, origin: str) -> Survey:
    """Count the lines of a text, and find out its encoding: by its mark, UTF-8, or else the likeliest.

    Raises:
        DataInvalid: it is not text.
    """
    with path.open("rb") as file:
        head = file.read(4)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else _UTF8
    decoder = codecs.getincrementaldecoder(encoding)()
    n_lines, last, has_quotes, is_sound = 0, b"\n", False, True
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            if is_sound and not (block.isascii() and encoding == _UTF8 and not decoder.getstate()[0]):
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    is_sound = False
            if encoding == _UTF8 and b"\0" in block:
                raise DataInvalid(f"{origin} is not text: give a table with named columns, as CSV, Parquet or JSON.")
            n_lines += block.count(b"\n")
            has_quotes = has_quotes or b'"' in block
            last = block
    try:
        decoder.decode(b"", final=is_sound)
    except UnicodeDecodeError:
        is_sound = False
    n_lines += not last.endswith(b"\n")
    if is_sound:
        return Survey(n_lines, encoding, has_quotes)
    if encoding != _UTF8:
        raise DataInvalid(f"{origin} begins as UTF-16 text and is none to its end: save the file as UTF-8.")
    return Survey(n_lines, _likeliest(path, origin), has_quotes, is_guessed=True)


def _likeliest(path: Path, origin: str) -> str:
    """The encoding that explains the lines beyond ASCII best."""
    sample = bytearray()
    with path.open("rb") as file:
        for line in file:
            if not line.isascii():
                sample += line[:_SAMPLE_BYTES]
            if len(sample) > _SAMPLE_BYTES:
                break
    # Control characters are letters in no encoding, but allowed in Latin-1.
    if re.search(rb"[\x00-\x08\x0e-\x1f]", sample):
        raise DataInvalid(f"{origin} is not text: give a table with named columns, as CSV, Parquet or JSON.")
    matches = from_bytes(bytes(sample), cp_isolation=list(_WRITTEN), enable_fallback=False)
    best = matches.best()
    if best is not None:
        western = [match for match in matches if _WESTERN in (match.encoding, *match.could_be_from_charset)]
        is_as_good = any(match.coherence >= best.coherence - _AS_COHERENT for match in western)
        return _WESTERN if is_as_good else best.encoding
    try:
        sample.decode(_WESTERN)
    except UnicodeDecodeError:
        return "latin_1"
    return _WESTERN


def sniff(path: Path, origin: str, config: DatasetConfig, surveyed: Survey) -> Layout:
    """Find out the separator and the columns of a text.

    Args:
        path: the file.
        origin: what to call it in messages.
        config: names the columns.
        surveyed: what `survey` said of the file.

    Raises:
        DataInvalid: it is empty, not text, or columns are missing.
    """
    lines = _first_lines(path, surveyed.encoding)
    n_before = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if n_before == len(lines):
        raise DataInvalid(f"{origin} is empty: it should hold a line of column names, then a line for each rating.")
    separators = list(SEPARATORS)
    declared = re.fullmatch(r'"?sep=(.)"?', lines[n_before].strip("\r\n"))
    if declared:
        separators, n_before = [declared[1]], n_before + 1
    lines = lines[n_before:] or [""]
    tables = {separator: quoted_fields(lines, separator) for separator in separators}
    layout = _headed(tables, origin, config) or _headless(tables, origin, config)
    if layout is None:
        raise DataInvalid(_why_not(origin, lines[0], max((rows[0] for rows in tables.values()), key=len), config))
    separator, names, roles, header = layout
    # Names may be there twice, but for the columns that matter; places may not.
    unique = tuple(name if names.count(name) == 1 else f"{name}\0{place}" for place, name in enumerate(names))
    return Layout(
        separator,
        unique,
        user=unique[roles.user],
        item=unique[roles.item],
        rating=unique[roles.rating],
        timestamp=None if roles.timestamp is None else unique[roles.timestamp],
        title=None if roles.title is None else unique[roles.title],
        header=header,
        n_before=n_before,
        date_order=config.date_order,
        notes=roles.notes,
    )


_Found = tuple[str, list[str], Roles, bool]


def _headed(tables: dict[str, list[list[str]]], origin: str, config: DatasetConfig) -> _Found | None:
    """The layout of a text whose first line names the columns."""
    if config.columns:
        return None
    fitting = [separator for separator, rows in tables.items() if is_table(rows[0], config)]
    if not fitting:
        return None
    separator = max(fitting, key=lambda candidate: len(tables[candidate][0]))
    head, *rows = tables[separator]
    names = _as_wide_as(head, rows)
    return separator, names, by_name(names, config, origin), True


def _as_wide_as(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The names, with one more or one less where each row ends, or does not end, in a separator."""
    width = len(head)
    if rows and all(len(row) == width + 1 and not row[-1].strip() for row in rows):
        return [*head, ""]
    if rows and not head[-1] and all(len(row) == width - 1 for row in rows):
        return head[:-1]
    return head


def _headless(tables: dict[str, list[list[str]]], origin: str, config: DatasetConfig) -> _Found | None:
    """The layout of a text whose columns are named by `dataset.columns`, or known by their values."""
    for separator in sorted(tables, key=lambda candidate: -len(tables[candidate][0])):
        rows = tables[separator]
        is_trailed = len(rows[0]) > 1 and all(not row[-1].strip() for row in rows)
        sample = [row[:-1] for row in rows] if is_trailed else rows
        names = list(config.columns) or [str(place) for place in range(len(sample[0]))]
        names += [""] * is_trailed
        if config.columns and (len(sample[0]) > 1 or len(tables) == 1):
            roles = by_position(len(sample[0]), config, origin)
            return separator, names, roles, not is_number(sample[0][roles.rating])
        roles_found = by_value(sample, config)
        if roles_found is not None:
            return separator, names, roles_found, False
    return None


def _first_lines(path: Path, encoding: str) -> list[str]:
    """The first lines, whole ones; the very first in any case."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        is_whole = not file.read(1)
    text = codecs.getincrementaldecoder("utf-8-sig" if encoding == _UTF8 else encoding)("replace").decode(head)
    lines = re.split(r"\r\n|\n|\r", text)
    if not is_whole and len(lines) > 1:
        lines.pop()
    return lines


def quoted_fields(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The fields of the first lines that are not blank; white space around them is no part of them."""
    given = [line for line in lines if line.strip()] or [""]
    if separator == " ":
        return [line.split() for line in given[:_MAX_SAMPLE]]
    if len(separator) > 1:
        return [[field.strip() for field in line.split(separator)] for line in given[:_MAX_SAMPLE]]
    try:
        rows = list(islice(csv.reader([line + "\n" for line in given], delimiter=separator), _MAX_SAMPLE))
    except csv.Error:
        return [[given[0]]]
    rows = [[field.strip() for field in row] for row in rows if row]
    if len(rows) > 1 and len(rows) < _MAX_SAMPLE:
        rows.pop()  # quotes may be open where the sample ends
    return rows or [[given[0]]]


def _why_not(origin: str, line: str, values: Sequence[str], config: DatasetConfig) -> str:
    if any(map(is_number, values)) and len(values) > 2:
        return (
            f"{origin} has no line of column names: its first line, {_short(line)!r}, holds data. Name its "
            f'{len(values)} columns by their order: dataset.columns = ["{config.user_column}", '
            f'"{config.item_column}", "{config.rating_column}", …].'
        )
    if len(values) < 3 and not any(name in values for name in (config.user_column, config.item_column)):
        return (
            f"{origin}: no separator found in its first line, {_short(line)!r}. Separate columns by one of "
            f"{', '.join(SEPARATORS.values())}, and name them in the first line."
        )
    return no_columns(origin, values, config)


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
