"""Ratings in delimited text or Parquet, streamed batch by batch into the canonical frame."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mfcore.config import DatasetConfig
from mfcore.data.canonical import Gatherer
from mfcore.data.heads import by_name, by_position
from mfcore.data.ids import id_text
from mfcore.data.layout import SEPARATORS, Layout, Survey, survey
from mfcore.data.ratings import Scale
from mfcore.errors import DataInvalid, first_line
from mfcore.storage.files import scratch_folder

__all__ = ["RawRatings", "concatenated", "read_parquet", "read_text"]

_BLOCK = 1 << 22
_MAX_RAGGED = 1_000_000
"""Rows with too few or too many fields that are kept for the quarantine; one more and the file is refused."""


@dataclass(frozen=True, eq=False)
class RawRatings:
    """The canonical frame as read, before any check.

    Attributes:
        frame: user_id, item_id, rating and, where there is one, timestamp; the index is the
            row's number in the file, the first line of a text being 1.
        titles: item_id → title, where the file has titles.
        unread: row, column and text of each cell, or whole row, that could not be read.
        notes: what was found out or normalized, a sentence each.
        scale: the rating scale, where the format tells it.
        not_rated: numbers that stand for "not rated" in this format.
    """

    frame: pd.DataFrame
    titles: "pd.Series[str] | None"
    unread: pd.DataFrame
    notes: tuple[str, ...] = ()
    scale: Scale | None = None
    not_rated: tuple[float, ...] = ()


def read_text(path: Path, origin: str, layout: Layout, surveyed: Survey | None = None) -> RawRatings:
    """Read a delimited text as `layout` says; a row that can't be read is kept, as missing values.

    Args:
        path: the file.
        origin: what to call it in messages.
        layout: separator and columns.
        surveyed: what `survey` says of the file, where that is known already.

    Raises:
        DataInvalid: the file can't be read as such a text at all.
    """
    surveyed = surveyed or survey(path, origin)
    if layout.separator == " ":
        with scratch_folder() as scratch:
            tabbed = scratch / path.name
            _write_tabbed(path, tabbed, surveyed.encoding)
            plain = replace(layout, separator="\t", quoted=False)
            return read_text(tabbed, origin, plain, replace(surveyed, encoding="utf-8"))
    ragged: dict[int, str] = {}
    is_quoted = layout.quoted and surveyed.has_quotes

    def skip(row: Any) -> str:
        ragged[row.number] = row.text
        return "skip" if len(ragged) <= _MAX_RAGGED else "error"

    gatherer = Gatherer(layout.date_order)
    try:
        reader = pacsv.open_csv(
            path,
            read_options=pacsv.ReadOptions(
                use_threads=False,  # with threads, skipped rows have no numbers
                block_size=_BLOCK,
                column_names=layout.physical_names,
                skip_rows=layout.n_skipped,
                encoding=surveyed.encoding,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=layout.separator[0],
                quote_char='"' if layout.quoted else False,
                double_quote=layout.escape is None,
                escape_char=layout.escape or False,
                newlines_in_values=is_quoted,  # else a block may end inside of quotes
                invalid_row_handler=skip,
                ignore_empty_lines=False,
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=layout.wanted,
                column_types={name: pa.string() for name in layout.wanted},
            ),
        )
        titles = _gather(gatherer, reader, layout)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        if is_quoted:
            _refuse_open_quote(path, origin, layout, surveyed.encoding)
        if not ragged and surveyed.n_lines <= layout.n_skipped:  # a head line and nothing else
            return _finish(gatherer, None, np.empty(0, np.int64), {}, origin, layout.notes)
        separator = SEPARATORS.get(layout.separator, layout.separator)
        raise DataInvalid(
            f"{origin} cannot be read as a text with columns separated by {separator}: {first_line(error)}"
        ) from error
    first = layout.n_skipped + 1
    n_rows = gatherer.n_rows + len(ragged)
    rows = np.arange(first, first + n_rows)
    if ragged:
        rows = np.delete(rows, np.fromiter(ragged, np.int64) - first)
    if is_quoted and surveyed.n_lines > n_rows + first - 1:
        # Fields hold line ends, which is fine if the text ends outside of quotes. That is
        # rare, so the slow look is taken only then.
        _refuse_open_quote(path, origin, layout, surveyed.encoding)
    return _finish(gatherer, titles, rows, ragged, origin, (*surveyed.notes, *layout.notes))


def read_parquet(path: Path, origin: str, config: DatasetConfig) -> RawRatings:
    """Read a Parquet file with the columns that `config` names.

    Raises:
        DataInvalid: it is not Parquet, or columns are missing.
    """
    gatherer = Gatherer(config.date_order)
    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            roles = by_position(len(names), config, origin) if config.columns else by_name(names, config, origin)
            layout = Layout(
                "",
                tuple(names),
                user=names[roles.user],
                item=names[roles.item],
                rating=names[roles.rating],
                timestamp=None if roles.timestamp is None else names[roles.timestamp],
                title=None if roles.title is None else names[roles.title],
            )
            titles = _gather(gatherer, file.iter_batches(columns=layout.wanted), layout)
    except (pa.ArrowException, OSError) as error:
        raise DataInvalid(f"{origin} cannot be read as Parquet: {first_line(error)}") from error
    return _finish(gatherer, titles, np.arange(1, gatherer.n_rows + 1), {}, origin, roles.notes)


def concatenated(parts: list[RawRatings]) -> RawRatings:
    """Parts of one table one after another, rows being counted through them."""
    if len(parts) == 1:
        return parts[0]
    frames, unread, n_rows = [], [], 0
    for part in parts:
        frames.append(part.frame.set_axis(part.frame.index + n_rows))
        unread.append(part.unread.assign(row=part.unread["row"] + n_rows))
        n_rows = int(max(frames[-1].index.max(), n_rows)) if len(part.frame) else n_rows
    for column in ("user_id", "item_id"):
        if len({frame[column].dtype == object for frame in frames if len(frame)}) > 1:
            frames = [frame.assign(**{column: _as_text(frame[column])}) for frame in frames]
    frames = [frame for frame in frames if len(frame)] or frames[:1]
    frame = pd.concat(frames)
    if "timestamp" in frame and frame["timestamp"].dtype != np.int64:
        frame["timestamp"] = frame["timestamp"].astype("Int64")
    titles = [part.titles for part in parts if part.titles is not None]
    merged = pd.concat(titles) if titles else None
    return RawRatings(
        frame,
        None if merged is None else merged[~merged.index.duplicated()],
        pd.concat(unread, ignore_index=True),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        parts[0].scale,
        parts[0].not_rated,
    )


def _as_text(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return pd.Series([id_text(value) for value in column.astype(object)], column.index, dtype=object)


def _write_tabbed(path: Path, target: Path, encoding: str) -> None:
    """The same lines with one tab for each run of white space."""
    with path.open(encoding=encoding, newline="\n") as lines, target.open("w", encoding="utf-8") as tabbed:
        for line in lines:
            tabbed.write("\t".join(line.split()) + "\n")


def _gather(gatherer: Gatherer, batches: Iterable[pa.RecordBatch], layout: Layout) -> dict[Any, str] | None:
    titles: dict[Any, str] | None = None if layout.title is None else {}
    for batch in batches:
        times = None if layout.timestamp is None else batch.column(layout.timestamp)
        gatherer.add(batch.column(layout.user), batch.column(layout.item), batch.column(layout.rating), times)
        if titles is not None:
            pairs = batch.select([layout.item, layout.title]).to_pandas().drop_duplicates(layout.item)
            for item, title in zip(pairs[layout.item], pairs[layout.title], strict=True):
                titles.setdefault(item, title)
    return titles


def _finish(
    gatherer: Gatherer,
    titles: dict[Any, str] | None,
    rows: "NDArray[np.int64]",
    ragged: dict[int, str],
    origin: str,
    notes: tuple[str, ...],
) -> RawRatings:
    """Number the rows, put the ragged ones among them, and leave out the blank ones."""
    try:
        frame = gatherer.frame()
    except DataInvalid as error:
        raise DataInvalid(f"{origin}: {error}") from None
    unread = [
        (int(rows[position]), cells.what, text)
        for cells in (gatherer.unread_ratings, gatherer.unread_times)
        for position, text in cells.texts.items()
    ]
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
    said = (*notes, *gatherer.notes)
    return RawRatings(frame, pd.Series(titles, dtype=object) if titles else None, table, said)


def _refuse_open_quote(path: Path, origin: str, layout: Layout, encoding: str) -> None:
    """Refuse a quote that is opened and never closed, which would swallow all lines after it."""
    with path.open(encoding=encoding, newline="") as text:
        reader = csv.reader(text, delimiter=layout.separator[0], escapechar=layout.escape, strict=True)
        line = 1
        try:
            for _ in reader:
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataInvalid(
                f"{origin}: the quotes in line {line:,} don't fit together ({first_line(error)}): double a quote "
                "inside a field, and close each field that begins with one."
            ) from error
