"""The tables of an export as files: Parquet, CSV, or arrays of NumPy."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mfcore.config import ExportFormat
from mfcore.errors import SourceUnavailable, first_line
from mfcore.storage.artifacts import read_manifest

__all__ = ["files_of", "parts_of", "read_table", "write_table"]

_LIST = "factors"
"""The one column of lists of numbers; in CSV factor_1, factor_2 and so on."""
_TEXT = ("user_id", "item_id", "other_item_id", "team")
"""What may be text and is held by arrays all the same; titles are left out of them."""
_MISSING = "because_"
"""How columns begin that have gaps, which arrays have none of."""


class _Writer(Protocol):
    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def write_table(
    folder: Path,
    name: str,
    frames: Iterator[pd.DataFrame],
    formats: Sequence[ExportFormat],
    max_rows: int | None = None,
) -> dict[str, int]:
    """Write frames of the same columns as one table, in each of the formats.

    Parquet and CSV hold all columns. Arrays hold numbers and ids, under the names of the columns, and are kept in
    memory until their file is whole.

    Args:
        folder: where files go.
        name: of the files, without suffix; of several -00001, -00002 and so on follow it.
        frames: parts of the table, at least one.
        formats: of the files.
        max_rows: of a file, at most, but for a frame that has more by itself; None: there is one file.

    Returns:
        The number of rows by file.
    """
    schema: pa.Schema | None = None
    rows: list[int] = []
    with ExitStack() as stack:
        writers: list[_Writer] = []
        for frame in frames:
            table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            if not rows or (max_rows is not None and rows[-1] and rows[-1] + table.num_rows > max_rows):
                stack.close()
                schema = table.schema
                rows.append(0)
                writers = [_WRITERS[suffix](folder / _file(name, len(rows), suffix), table) for suffix in formats]
                for writer in writers:
                    stack.callback(writer.close)
            for writer in writers:
                writer.write(table)
            rows[-1] += table.num_rows
    if len(rows) == 1:
        for suffix in formats:
            (folder / _file(name, 1, suffix)).rename(folder / f"{name}.{suffix}")
        return {f"{name}.{suffix}": rows[0] for suffix in formats}
    return {_file(name, number, suffix): n for suffix in formats for number, n in enumerate(rows, start=1)}


def _file(name: str, number: int, suffix: str) -> str:
    return f"{name}-{number:05d}.{suffix}"


def files_of(folder: Path, suffix: ExportFormat) -> dict[str, list[Path]]:
    """Each table's files in one format, in the order of their rows, as the manifest has them."""
    files: dict[str, list[Path]] = {}
    for file in map(Path, read_manifest(folder)["rows"]):
        if file.suffix == f".{suffix}":
            files.setdefault(re.sub(r"-\d{5}$", "", file.stem), []).append(folder / file)
    return files


def parts_of(folder: Path, name: str) -> Iterator[tuple[dict[str, NDArray[Any]], Path]]:
    """The columns of each file of a table, in whichever format there is; the factors as a matrix.

    Raises:
        SourceUnavailable: there is no such file, or it holds something else.
    """
    written = ((read, files_of(folder, suffix).get(name, [])) for suffix, read in _READERS.items())
    whole = [(read, paths) for read, paths in written if paths and all(path.is_file() for path in paths)]
    if not whole:
        raise SourceUnavailable(f"{folder} has no table {name}. Make it again with `mfcore export`.")
    read, paths = whole[0]
    for path in paths:
        try:
            yield read(path), path
        except (ValueError, KeyError, TypeError, OSError, BadZipFile) as error:
            raise SourceUnavailable(f"{path} holds no table: {first_line(error)}.") from error


def read_table(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    """The columns of a table, all of its files together.

    Args:
        folder: of the export.
        name: of the table.

    Returns:
        Column -> values.

    Raises:
        SourceUnavailable: there is no such table, or its files hold something else.
    """
    parts = [columns for columns, _ in parts_of(folder, name)]
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class _Parquet:
    def __init__(self, path: Path, first: pa.Table) -> None:
        self._file = pq.ParquetWriter(path, first.schema)
        self.close = self._file.close

    def write(self, table: pa.Table) -> None:
        self._file.write_table(table)


class _Csv:
    def __init__(self, path: Path, first: pa.Table) -> None:
        self._file = csv.CSVWriter(path, _flat(first).schema)
        self.close = self._file.close

    def write(self, table: pa.Table) -> None:
        self._file.write(_flat(table))


class _Arrays:
    def __init__(self, path: Path, _: pa.Table) -> None:
        self._path = path
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def write(self, table: pa.Table) -> None:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name.startswith(_MISSING):
                continue
            values = column.to_numpy()
            if name == _LIST:
                values = _matrix(values)
            elif name in _TEXT and values.dtype == object:
                values = values.astype(str)
            elif values.dtype == object:
                continue
            self._parts.setdefault(name, []).append(values)

    def close(self) -> None:
        np.savez(self._path, allow_pickle=False, **{name: np.concatenate(parts) for name, parts in self._parts.items()})


_WRITERS: dict[ExportFormat, Any] = {"parquet": _Parquet, "csv": _Csv, "npz": _Arrays}


def _flat(table: pa.Table) -> pa.Table:
    """The table with a column for each factor, and text where all values are missing."""
    columns: dict[str, pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name == _LIST:
            columns |= {
                f"factor_{n}": pa.array(column_of) for n, column_of in enumerate(_matrix(column.to_numpy()).T, start=1)
            }
        else:
            columns[name] = column.cast(pa.string()) if pa.types.is_null(column.type) else column
    return pa.table(columns)


def _matrix(rows: NDArray[np.object_]) -> NDArray[np.float32]:
    """Rows of the same length as a matrix."""
    return np.stack([np.asarray(row, np.float32) for row in rows]) if len(rows) else np.empty((0, 0), np.float32)


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    frame = pd.read_parquet(path)
    columns = {name: frame[name].to_numpy() for name in map(str, frame) if name != _LIST}
    return columns | ({_LIST: _matrix(frame[_LIST].to_numpy())} if _LIST in frame else {})


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    # CSV doesn't tell text from numbers.
    manifest = read_manifest(path.parent)
    types = {name: pa.string() for name in (*manifest["text_ids"], "title")}
    table = csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True),
                         convert_options=csv.ConvertOptions(column_types=types))  # fmt: skip
    columns = {name: table[name].to_numpy() for name in table.column_names}
    factors = [columns.pop(name).astype(np.float32) for name in table.column_names if name.startswith("factor_")]
    if "bias" in columns:
        columns[_LIST] = np.stack(factors, axis=1) if factors else np.empty((len(table), 0), np.float32)
    return columns


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return {
            name: arrays[name].astype(object) if arrays[name].dtype.kind == "U" else arrays[name] for name in arrays
        }


_READERS: dict[ExportFormat, Callable[[Path], dict[str, NDArray[Any]]]] = {
    "parquet": _read_parquet,
    "npz": _read_arrays,
    "csv": _read_csv,
}
"""The nearest to what was written first."""
