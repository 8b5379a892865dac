"""Ratings in delimited text or Parquet, streamed batch by batch into the canonical frame."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.config import DatasetConfig
from mfcore.data.canonical import Gatherer
from mfcore.errors import DataInvalid

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Layout", "RawRatings", "read_parquet", "read_text", "sniff"]

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar", "::": "double colon"}
_BLOCK = 1 << 22
_LONGEST_HEADER = 1 << 16


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
        header: whether the first line names the columns.
        quoted: whether fields may be quoted.
        encoding: of the text.
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
    encoding: str = "utf8"

    @property
    def wanted(self) -> list[str]:
        """The columns to read."""
        columns = (self.user, self.item, self.rating, self.timestamp, self.title)
        return [name for name in columns if name is not None]

    @property
    def physical_names(self) -> list[str] | None:
        """The columns as one character separates them; None where the first line may name them.

        Between the two characters of "::" lies an empty column.
        """
        if len(self.separator) == 1:
            return None if self.header else list(self.names)
        return [part for name in self.names for part in (f"\0{name}", name)][1:]


@dataclass(frozen=True, eq=False)
class RawRatings:
    """The canonical frame as read, before any check.

    Attributes:
        frame: user_id, item_id, rating and, where there is one, timestamp; the index is the
            row's number in the file, the first line of a text being 1.
        titles: item_id → title, where the file has titles.
        unread: row, column and text of each cell, or whole row, that could not be read.
    """

    frame: pd.DataFrame
    titles: "pd.Series[str] | None"
    unread: pd.DataFrame


def sniff(path: Path, origin: str, config: DatasetConfig) -> Layout:
    """Find out the separator and the columns of a text with named columns.

    Args:
        path: the file.
        origin: what to call it in messages.
        config: names the columns.

    Raises:
        DataInvalid: it is empty, not text, or columns are missing.
    """
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head[: len(head) & ~1].decode(encoding, errors="replace")
    if not text.strip():
        raise DataInvalid(f"{origin} is empty: it should hold a line of column names, then a line for each rating.")
    if "\0" in text:
        raise DataInvalid(f"{origin} is not text: give a CSV or TSV with named columns, or Parquet.")
    line = text.splitlines()[0]
    fields = {separator: _fields(line, separator) for separator in SEPARATORS}
    needed = [config.user_column, config.item_column, config.rating_column]
    fitting = [separator for separator in SEPARATORS if set(needed) <= set(fields[separator])]
    if not fitting:
        raise DataInvalid(_why_not(origin, line, max(fields.values(), key=len), config))
    separator = max(fitting, key=lambda one: len(fields[one]))
    names = fields[separator]
    layout = _layout(config, names, separator, "utf-16" if encoding == "utf-16" else "utf8")
    for name in layout.wanted:
        if names.count(name) > 1:
            raise DataInvalid(f"{origin} has {names.count(name)} columns named {name!r}: rename all but one.")
    return layout


def _layout(config: DatasetConfig, found: Sequence[str], separator: str, encoding: str = "utf8") -> Layout:
    return Layout(
        separator,
        tuple(found),
        user=config.user_column,
        item=config.item_column,
        rating=config.rating_column,
        timestamp=config.timestamp_column if config.timestamp_column in found else None,
        title=config.title_column if config.title_column in found else None,
        encoding=encoding,
    )


def _fields(line: str, separator: str) -> list[str]:
    if len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader(io.StringIO(line), delimiter=separator))
    except (csv.Error, StopIteration):
        return [line]


def _why_not(origin: str, line: str, found: Sequence[str], config: DatasetConfig) -> str:
    if len(found) == 1:
        return (
            f"{origin}: no separator found in its first line, {_short(line)!r}. Separate columns by one of "
            f"{', '.join(SEPARATORS.values())}, and name them in the first line."
        )
    if not any(character.isalpha() for character in "".join(found)):
        return (
            f"{origin}: its first line, {_short(line)!r}, holds data and not the names of columns: "
            f"put a line such as {config.user_column},{config.item_column},{config.rating_column} before it."
        )
    names = {key: getattr(config, key) for key in ("user_column", "item_column", "rating_column")}
    missing = {key: name for key, name in names.items() if name not in found}
    return (
        f"{origin}: no column {' or '.join(map(repr, missing.values()))}; found columns {_short(', '.join(found))}. "
        f"Name yours with {' and '.join(f'dataset.{key}' for key in missing)}."
    )


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def read_text(path: Path, origin: str, layout: Layout) -> RawRatings:
    """Read a delimited text as `layout` says; a row that can't be read is kept, as missing values.

    Args:
        path: the file.
        origin: what to call it in messages.
        layout: separator and columns.

    Raises:
        DataInvalid: the file can't be read as such a text at all.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    ragged: dict[int, str] = {}

    def skip(row: Any) -> str:
        ragged[row.number] = row.text
        return "skip"

    try:
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(
                use_threads=False,  # with threads, skipped rows have no numbers
                block_size=_BLOCK,
                column_names=layout.physical_names,
                skip_rows=int(layout.header and layout.physical_names is not None),
                encoding=layout.encoding,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=layout.separator[0],
                quote_char='"' if layout.quoted else False,
                invalid_row_handler=skip,
                ignore_empty_lines=False,
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=layout.wanted,
                column_types={name: pa.string() for name in layout.wanted},
            ),
        )
        gatherer, titles = _gather(reader, layout)
    except pa.ArrowException as error:
        raise DataInvalid(f"{origin} cannot be read: {_reason(path, layout, error)}") from error
    first = 2 if layout.header else 1
    n_lines = gatherer.n_rows + len(ragged)
    rows = np.arange(first, first + n_lines)
    if ragged:
        rows = np.delete(rows, np.fromiter(ragged, np.int64) - first)
    if layout.quoted:
        _refuse_open_quote(path, origin, layout, n_lines + first - 1)
    return _finish(gatherer, titles, rows, ragged)


def read_parquet(path: Path, origin: str, config: DatasetConfig) -> RawRatings:
    """Read a Parquet file with the columns that `config` names.

    Raises:
        DataInvalid: it is not Parquet, or columns are missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            needed = [config.user_column, config.item_column, config.rating_column]
            if not set(needed) <= set(found):
                raise DataInvalid(_why_not(origin, "", [*found, ""], config))
            layout = _layout(config, found, "")
            gatherer, titles = _gather(file.iter_batches(columns=layout.wanted), layout)
    except (pa.ArrowException, OSError) as error:
        raise DataInvalid(f"{origin} cannot be read as Parquet: {_first_line(error)}") from error
    return _finish(gatherer, titles, np.arange(1, gatherer.n_rows + 1), {})


def _gather(batches: "Iterable[pa.RecordBatch]", layout: Layout) -> tuple[Gatherer, dict[Any, str] | None]:
    gatherer = Gatherer()
    titles: dict[Any, str] | None = None if layout.title is None else {}
    for batch in batches:
        times = None if layout.timestamp is None else batch.column(layout.timestamp)
        gatherer.add(batch.column(layout.user), batch.column(layout.item), batch.column(layout.rating), times)
        if titles is not None:
            pairs = batch.select([layout.item, layout.title]).to_pandas().drop_duplicates(layout.item)
            for item, title in zip(pairs[layout.item], pairs[layout.title], strict=True):
                titles.setdefault(item, title)
    return gatherer, titles


def _finish(
    gatherer: Gatherer, titles: dict[Any, str] | None, rows: "NDArray[np.int64]", ragged: dict[int, str]
) -> RawRatings:
    """Number the rows, put the ragged ones among them, and leave out the blank ones."""
    import pyarrow as pa

    unread = [
        (int(rows[position]), cells.what, text)
        for cells in (gatherer.unread_ratings, gatherer.unread_times)
        for position, text in cells.texts.items()
    ]
    frame = gatherer.frame()
    pa.default_memory_pool().release_unused()
    contiguous = len(rows) == 0 or rows[-1] - rows[0] + 1 == len(rows)
    frame.index = pd.RangeIndex(rows[0], rows[-1] + 1) if contiguous and len(rows) else pd.Index(rows)
    blank = frame.isna().all(axis=1) if frame["rating"].hasnans else None
    if blank is not None and blank.any():
        with_text = {row for row, _, _ in unread}
        frame = frame[~blank | frame.index.isin(with_text)]
    if ragged:
        empty = pd.DataFrame({"rating": np.nan}, index=pd.Index(sorted(ragged)))
        frame = pd.concat([frame, empty]).sort_index()
        unread += [(row, "row", text) for row, text in ragged.items()]
    table = pd.DataFrame(sorted(unread), columns=["row", "column", "text"])
    return RawRatings(frame, pd.Series(titles, dtype=object) if titles else None, table)


def _refuse_open_quote(path: Path, origin: str, layout: Layout, n_rows: int) -> None:
    """Refuse a quote that is opened and never closed, which would swallow all lines after it.

    More lines than rows mean that fields hold line ends, which is fine if the text ends
    outside of quotes. That is rare, so the slow look is taken only then.
    """
    with path.open("rb") as file:
        n_lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    if n_lines <= n_rows:
        return
    with path.open(encoding=layout.encoding, newline="", errors="replace") as text:
        reader = csv.reader(text, delimiter=layout.separator[0], strict=True)
        line = 1
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataInvalid(
                f"{origin}: the quotes in line {line} don't fit together ({error}): double a quote inside a field, "
                "and close each field that begins with one."
            ) from error


def _reason(path: Path, layout: Layout, error: Exception) -> str:
    """What is wrong with a text that Arrow refused, with the line where that can be found."""
    if "UTF8" in str(error):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError as mistake:
                    byte = line[mistake.start]
                    return f"line {number} is not UTF-8 text (byte 0x{byte:02x}). Save the file as UTF-8."
    return f"{_first_line(error)} (columns separated by {SEPARATORS.get(layout.separator, layout.separator)})."


def _first_line(error: Exception) -> str:
    return _short((str(error).splitlines() or [type(error).__name__])[0])
