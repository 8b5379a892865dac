"""A table of one's own: which files of a folder it is in, and what kind of file each is."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from mfcore.config import DatasetConfig
from mfcore.data.layout import sniff, survey
from mfcore.data.rewriting import rewrite_json, rewrite_sheet
from mfcore.data.tables import RawRatings, concatenated, read_parquet, read_text
from mfcore.errors import DataInvalid, clause, counted, listed
from mfcore.storage.files import scratch_folder

__all__ = ["TABLE_SUFFIXES", "may_be_table", "read_table"]

_PARQUET = (".parquet", ".parq", ".pq")
_JSON = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".base", ".train", ".test", ".xlsx", *_PARQUET, *_JSON)
"""How the names of files end that may hold a table of ratings."""

_HEAD = 200
_SPLIT = re.compile(r"(.+)\.(base|train|test)")


def may_be_table(name: str) -> bool:
    """Whether a file of a folder may hold ratings, by its name: parts that Hadoop wrote have no suffix."""
    return name.lower().endswith(TABLE_SUFFIXES) or re.fullmatch(r"part-[\w-]+", name) is not None


def read_table(paths: Sequence[Path], origin: str, config: DatasetConfig) -> RawRatings:
    """Read the one file, or the parts, that hold a user, an item and a rating.

    Of several files those with the columns that `config` names are taken, or else those whose columns
    are known by their values; they are parts of one table if they have the same columns.

    Raises:
        DataInvalid: no file holds ratings, or several do that are no parts of one table.
    """
    if len(paths) == 1:
        with scratch_folder() as scratch:
            return _opened(paths[0], origin, config, scratch)[1]()
    paths, left_out = _first_split(sorted(path for path in paths if may_be_table(path.name) and path.stat().st_size))
    readable: dict[str, list[tuple[Path, Callable[[], RawRatings]]]] = {}
    why_not: list[str] = []
    with scratch_folder() as scratch:
        for path in paths:
            try:
                columns, read = _opened(path, f"{origin}: {path.name}", config, scratch)
            except DataInvalid as error:
                why_not.append(str(error))
            else:
                readable.setdefault(columns, []).append((path, read))
        named = {columns: parts for columns, parts in readable.items() if columns}
        tables = list((named or readable).values())
        if not tables:
            raise DataInvalid(
                f"none of {counted(len(paths), 'file')} holds ratings. {clause(why_not[0])}."
                if why_not
                else f"{origin} is empty."
            )
        if len(tables) > 1:
            names = listed(parts[0][0].name for parts in tables)
            raise DataInvalid(f"{origin} holds several tables of ratings, such as {names}: give the path of one.")
        whole = concatenated([read() for _, read in tables[0]])
    taken = listed((path.name for path, _ in tables[0]), most=3)
    held = f"{len(tables[0]):,} of {counted(len(paths) + left_out, 'file')}"
    notes = (f"{held} hold the ratings: {taken}", *whole.notes)
    return RawRatings(whole.frame, whole.titles, whole.unread, notes)


def _first_split(paths: list[Path]) -> tuple[list[Path], int]:
    """Of files such as u1.base, u1.test and u2.base, each pair of which is all ratings, the first pair."""
    stems = sorted({match[1] for path in paths if (match := _SPLIT.fullmatch(path.name))})
    kept = [path for path in paths if not (match := _SPLIT.fullmatch(path.name)) or match[1] == stems[0]]
    return kept, len(paths) - len(kept)


def _opened(path: Path, origin: str, config: DatasetConfig, scratch: Path) -> tuple[str, Callable[[], RawRatings]]:
    """The names of a file's columns, in one text that is empty where it has none, and what reads it."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if suffix in _PARQUET or head.startswith(b"PAR1"):
        raw = read_parquet(path, origin, config)
        return "parquet", lambda: raw
    text = path
    is_json = suffix in _JSON or re.match(rb"(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*\"", head) is not None
    if suffix == ".xlsx" or is_json:
        text = scratch / f"{path.name}.csv"
        (rewrite_sheet if suffix == ".xlsx" else rewrite_json)(path, text, origin)
    surveyed = survey(text, origin)
    layout = sniff(text, origin, config, surveyed)
    columns = "\t".join(layout.names) if layout.header else ""
    return columns, lambda: read_text(text, origin, layout, surveyed)
