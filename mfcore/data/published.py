"""The files of Book-Crossing, Amazon, FilmTrust, Goodbooks-10k, Anime, CiaoDVD and the Netflix Prize."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from mfcore.data.layout import Layout, survey
from mfcore.data.ratings import Scale
from mfcore.data.rewriting import rewrite_json
from mfcore.data.tables import RawRatings, read_text
from mfcore.errors import DataInvalid, first_line, listed
from mfcore.storage.files import scratch_folder

__all__ = ["PUBLISHED", "is_netflix", "read_netflix"]

_STARS, _TEN = Scale(1, 5, 1), Scale(1, 10, 1)
_HEAD = 1000


@dataclass(frozen=True)
class Published:
    """A table of ratings as one publisher packs it, with what is not written in it.

    Attributes:
        file: pattern of its name.
        layout: how it is laid out.
        scale: what ratings are possible.
        not_rated: numbers that stand for "not rated".
        head: how its first line begins, None where it has no names; of JSON, a name that is in it.
        beside: a file that has to lie beside it, for names that are used elsewhere too.
        items: file of the items, its separator, and the places of their id and title.
        is_json: whether each line is a record.
    """

    file: str
    layout: Layout
    scale: Scale
    not_rated: tuple[float, ...] = ()
    head: str | None = None
    beside: str | None = None
    items: tuple[str, str, int, int] | None = None
    is_json: bool = False

    def is_here(self, folder: Path) -> bool:
        """Whether `folder` holds it."""
        if self.beside is not None and not (folder / self.beside).is_file():
            return False
        paths = [path for path in folder.glob(self.file) if path.is_file()]
        return len(paths) == 1 and (self.head is None or self._fits(paths[0], self.head))

    def _fits(self, path: Path, head: str) -> bool:
        with path.open("rb") as file:
            text = file.read(_HEAD).decode("utf-8-sig", errors="replace")
        return f'"{head}"' in text if self.is_json else re.sub('[ "\r]', "", text).startswith(head)

    def read(self, folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
        """The ratings, and the items where there are any."""
        (path,) = (path for path in folder.glob(self.file) if path.is_file())
        origin = f"{origin}: {path.name}"
        if self.is_json:
            with scratch_folder() as scratch:
                text = scratch / "ratings.csv"
                rewrite_json(path, text, origin)
                with text.open(encoding="utf-8", newline="") as rows:
                    names = tuple(next(csv.reader(rows)))
                missing = [name for name in self.layout.wanted if name not in names]
                if missing:
                    raise DataInvalid(f"{origin} lacks {listed(missing, 'and')}; found {listed(names)}.")
                raw = read_text(text, origin, replace(self.layout, names=names))
        else:
            raw = read_text(path, origin, self.layout)
        return replace(raw, scale=self.scale, not_rated=self.not_rated), self._items(folder)

    def _items(self, folder: Path) -> pd.DataFrame | None:
        if self.items is None or not (folder / self.items[0]).is_file():
            return None
        name, separator, key, title = self.items
        encoding = survey(folder / name, name).encoding
        with (folder / name).open(encoding=encoding, errors="replace", newline="") as file:
            rows = csv.reader(file, delimiter=separator, escapechar="\\" if separator == ";" else None)
            try:
                pairs = [(row[key], row[title]) for row in rows if len(row) > max(key, title)]
            except csv.Error as error:
                raise DataInvalid(f"{name} cannot be read: {first_line(error)}.") from error
        return pd.DataFrame(pairs[1:], columns=["item_id", "title"], dtype=object) if pairs[1:] else None


def _layout(separator: str, names: Sequence[str], *roles: str, header: bool = True) -> Layout:
    user, item, rating, timestamp = (*roles, None)[:4]
    assert user and item and rating
    return Layout(separator, tuple(names), user, item, rating, timestamp, header=header)


PUBLISHED: dict[str, Published] = {
    "book-crossing": Published(
        "BX-Book-Ratings.csv",
        replace(_layout(";", ("User-ID", "ISBN", "Book-Rating"), "User-ID", "ISBN", "Book-Rating"), escape="\\"),
        _TEN,
        not_rated=(0,),
        items=("BX-Books.csv", ";", 0, 1),
    ),
    "book-crossing-csv": Published(
        "Ratings.csv",
        _layout(",", ("User-ID", "ISBN", "Book-Rating"), "User-ID", "ISBN", "Book-Rating"),
        _TEN,
        not_rated=(0,),
        head="User-ID,ISBN,Book-Rating",
        items=("Books.csv", ",", 0, 1),
    ),
    "goodbooks-10k": Published(
        "ratings.csv",
        _layout(",", ("user_id", "book_id", "rating"), "user_id", "book_id", "rating"),
        _STARS,
        head="user_id,book_id,rating",
        items=("books.csv", ",", 0, 10),
    ),
    "anime": Published(
        "rating.csv",
        _layout(",", ("user_id", "anime_id", "rating"), "user_id", "anime_id", "rating"),
        _TEN,
        not_rated=(-1,),
        head="user_id,anime_id,rating",
        items=("anime.csv", ",", 0, 1),
    ),
    "filmtrust": Published(
        "ratings.txt",
        _layout(" ", ("user", "item", "rating"), "user", "item", "rating", header=False),
        Scale(0.5, 4, 0.5),
        beside="trust.txt",
    ),
    "ciaodvd": Published(
        "movie-ratings.txt",
        _layout(
            ",",
            ("user", "item", "genre", "review", "rating", "date"),
            *("user", "item", "rating", "date"),
            header=False,
        ),
        _STARS,
    ),
    "amazon": Published(
        "*.csv",
        _layout(
            ",",
            ("user_id", "parent_asin", "rating", "timestamp"),
            *("user_id", "parent_asin", "rating", "timestamp"),
        ),
        _STARS,
        head="user_id,parent_asin,rating,timestamp\n",
    ),
    "amazon-json": Published(
        "*.json",
        _layout(",", (), "reviewerID", "asin", "overall", "unixReviewTime"),
        _STARS,
        head="reviewerID",
        is_json=True,
    ),
}


def is_netflix(folder: Path) -> bool:
    """Whether `folder` holds ratings of the Netflix Prize, by movie: combined_data_1.txt and so on, or mv_*.txt."""
    return bool(_netflix_files(folder))


def read_netflix(folder: Path, origin: str) -> tuple[RawRatings, pd.DataFrame | None]:
    """Read files in which "7:" stands before the lines "user,rating,date" of movie 7.

    Raises:
        DataInvalid: ratings come before any movie.
    """
    names = ("user_id", "item_id", "rating", "timestamp")
    with scratch_folder() as scratch:
        text = scratch / "ratings.csv"
        with text.open("w", encoding="utf-8") as target:
            for path in _netflix_files(folder):
                movie = ""
                with path.open(encoding="utf-8", errors="replace") as lines:
                    for line in lines:
                        user, comma, rest = line.strip().partition(",")
                        if user.endswith(":") and not comma:
                            movie = user[:-1]
                        elif user or comma:
                            target.write(f"{user},{movie},{rest}\n")
        raw = read_text(text, origin, Layout(",", names, *names, header=False, quoted=False))
    items = None
    titles = next(
        (folder / name for name in ("movie_titles.csv", "movie_titles.txt") if (folder / name).is_file()), None
    )
    if titles is not None:  # titles hold commas
        rows = [line.split(",", 2) for line in titles.read_text(encoding="latin-1").splitlines()]
        table = [(row[0], f"{row[2]} ({row[1]})") for row in rows if len(row) == 3]
        items = pd.DataFrame(table, columns=["item_id", "title"], dtype=object) if table else None
    return replace(raw, scale=_STARS), items


def _netflix_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in ("combined_data_*.txt", "mv_*.txt") for path in folder.glob(pattern))
