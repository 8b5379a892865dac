"""The files of MovieLens, as GroupLens packs them, and as RecBole repacks them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd

from mfcore.data.layout import Layout
from mfcore.data.tables import RawRatings, read_text
from mfcore.errors import DataInvalid, first_line, listed

__all__ = ["read_100k", "read_csv", "read_dat", "read_recbole"]

_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The genres of u.item's flags, in their order."""
_COLUMNS = ("user_id", "item_id", "rating", "timestamp")
_NO_GENRES = "(no genres listed)"


def read_100k(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read u.data (tabs, no header) and u.item (bars, Latin-1, a flag for each genre)."""
    layout = Layout("\t", _COLUMNS, *_COLUMNS, header=False, quoted=False)
    raw = read_text(folder / "u.data", f"{origin}: u.data", layout)
    rows = (line.split("|") for line in _lines(folder / "u.item"))
    items = [
        {
            "item_id": row[0],
            "title": row[1],
            "genres": "|".join(genre for genre, flag in zip(_GENRES, row[5:], strict=False) if flag == "1"),
            "url": row[4],
        }
        for row in rows
        if len(row) > 4
    ]
    return raw, _table(items)


def read_dat(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read ratings.dat and movies.dat ("::", no header; titles of 1M in Latin-1, of 10M in UTF-8)."""
    layout = Layout("::", _COLUMNS, *_COLUMNS, header=False, quoted=False)
    raw = read_text(folder / "ratings.dat", f"{origin}: ratings.dat", layout)
    rows = (line.split("::") for line in _lines(folder / "movies.dat"))
    items = [
        {"item_id": row[0], "title": "::".join(row[1:-1]), "genres": _genres(row[-1])} for row in rows if len(row) > 2
    ]
    return raw, _table(items)


def read_csv(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read ratings.csv, movies.csv and links.csv (commas, quotes, a header)."""
    names = ("userId", "movieId", "rating", "timestamp")
    raw = read_text(folder / "ratings.csv", f"{origin}: ratings.csv", Layout(",", names, *names))
    links = {row["movieId"]: row for row in _rows(folder / "links.csv") if row.get("movieId")}
    items = []
    for row in _rows(folder / "movies.csv"):
        if row.get("movieId") is None or row.get("title") is None:
            continue
        link = links.get(row["movieId"], {})
        imdb = (link.get("imdbId") or "").strip()
        items.append(
            {
                "item_id": row["movieId"],
                "title": row["title"],
                "genres": _genres(row.get("genres") or ""),
                "url": f"https://www.imdb.com/title/tt{imdb.zfill(7)}/" if imdb else "",
                "tmdb_id": (link.get("tmdbId") or "").strip(),
            }
        )
    return raw, _table(items)


def read_recbole(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read tab-separated files whose header gives each column's type, such as `user_id:token`."""
    path = next(folder.glob("*.inter"))
    with path.open(encoding="utf-8", errors="replace") as file:
        names = tuple(file.readline().rstrip("\r\n").split("\t"))
    columns = {name.partition(":")[0]: name for name in names}
    missing = [name for name in _COLUMNS[:3] if name not in columns]
    if missing:
        raise DataInvalid(f"{origin}: {path.name} lacks {listed(missing, 'and')}; found columns {listed(names)}.")
    user, item, rating = (columns[name] for name in _COLUMNS[:3])
    layout = Layout("\t", names, user, item, rating, columns.get("timestamp"), quoted=False)
    raw = read_text(path, f"{origin}: {path.name}", layout)
    items = []
    for row in _rows(path.with_suffix(".item"), "\t"):
        fields = {name.partition(":")[0]: text or "" for name, text in row.items() if name is not None}
        year = fields.get("release_year", "")
        items.append(
            {
                "item_id": fields.get("item_id", ""),
                "title": fields.get("movie_title", "") + (f" ({year})" if year.isdigit() else ""),
                "genres": fields.get("class", "").replace(" ", "|"),
            }
        )
    return raw, _table(items)


def _table(items: list[dict[str, str]]) -> pd.DataFrame | None:
    return pd.DataFrame(items, dtype=object) if items else None


def _genres(text: str) -> str:
    return "" if text.strip() == _NO_GENRES else text.strip()


def _rows(path: Path, separator: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a small text with a header; of one that isn't there, none."""
    quoting: Literal[0, 3] = 3 if separator == "\t" else 0  # csv.QUOTE_NONE, csv.QUOTE_MINIMAL
    try:
        yield from csv.DictReader(_lines(path), delimiter=separator, quoting=quoting)
    except csv.Error as error:
        raise DataInvalid(f"{path.name} cannot be read: {first_line(error)}.") from error


def _lines(path: Path) -> list[str]:
    """The lines of a small text in UTF-8, or else Latin-1; of one that isn't there, none."""
    if not path.exists():
        return []
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").split("\n")
