"""Ratings in delimited text or Parquet, streamed batch by batch into the canonical frame."""

import codecs
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
_MAX_RAGGED = 1_000_000
"""Rows with too few or too many fields that are kept for the quarantine; one more and the file is refused."""
_UTF8 = "utf-8"


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
    encoding: str = _UTF8

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
    layout = _layout(config, names, separator, "utf-16" if encoding == "utf-16" else _UTF8)
    for name in layout.wanted:
        if names.count(name) > 1:
            raise DataInvalid(f"{origin} has {names.count(name)} columns named {name!r}: rename all but one.")
    return layout


def _layout(config: DatasetConfig, found: Sequence[str], separator: str, encoding: str = _UTF8) -> Layout:
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

    n_lines = _count_lines(path, origin, layout.encoding)
    ragged: dict[int, str] = {}

    def skip(row: Any) -> str:
        ragged[row.number] = row.text
        return "skip" if len(ragged) <= _MAX_RAGGED else "error"

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
        separator = SEPARATORS.get(layout.separator, layout.separator)
        raise DataInvalid(
            f"{origin} cannot be read as a text with columns separated by {separator}: {_first_line(error)}"
        ) from error
    first = 2 if layout.header else 1
    n_rows = gatherer.n_rows + len(ragged)
    rows = np.arange(first, first + n_rows)
    if ragged:
        rows = np.delete(rows, np.fromiter(ragged, np.int64) - first)
    if layout.quoted and n_lines > n_rows + first - 1:
        # Fields hold line ends, which is fine if the text ends outside of quotes. That is
        # rare, so the slow look is taken only then.
        _refuse_open_quote(path, origin, layout)
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
    unread = [
        (int(rows[position]), cells.what, text)
        for cells in (gatherer.unread_ratings, gatherer.unread_times)
        for position, text in cells.texts.items()
    ]
    frame = gatherer.frame()
    contiguous = len(rows) == 0 or rows[-1] - rows[0] + 1 == len(rows)
    frame.index = pd.RangeIndex(rows[0], rows[-1] + 1) if contiguous and len(rows) else pd.Index(rows)
    blank = frame.isna().all(axis=1) if frame["rating"].hasnans else None
    if blank is not None and blank.any():
        with_text = {row for row, _, _ in unread}
        frame = frame[~blank | frame.index.isin(with_text)]
    if ragged:
        # As nullable integers, for beside missing values plain ones would turn into floats.
        integers = [name for name in frame if frame[name].dtype == np.int64]
        frame = frame.astype(dict.fromkeys(integers, "Int64"))
        frame = frame.reindex(frame.index.append(pd.Index(list(ragged))).sort_values())
        unread += [(row, "row", text) for row, text in ragged.items()]
    table = pd.DataFrame(sorted(unread), columns=["row", "column", "text"])
    return RawRatings(frame, pd.Series(titles, dtype=object) if titles else None, table)


def _count_lines(path: Path, origin: str, encoding: str) -> int:
    """The number of lines, having made sure that the text is of its encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    last = b"\n"
    n_lines = 0
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                if not (block.isascii() and encoding == _UTF8 and not decoder.getstate()[0]):
                    decoder.decode(block)
                n_lines += block.count(b"\n")
                last = block
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line = n_lines + bytes(error.object[: error.start]).count(b"\n") + 1
        byte = error.object[error.start] if error.start < len(error.object) else 0
        raise DataInvalid(
            f"{origin}: line {line} is not {encoding.upper()} text (byte 0x{byte:02x}). Save the file as UTF-8."
        ) from error
    return n_lines + (not last.endswith(b"\n"))


def _refuse_open_quote(path: Path, origin: str, layout: Layout) -> None:
    """Refuse a quote that is opened and never closed, which would swallow all lines after it."""
    with path.open(encoding=layout.encoding, newline="") as text:
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


def _first_line(error: Exception) -> str:
    return _short((str(error).splitlines() or [type(error).__name__])[0])
