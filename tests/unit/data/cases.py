"""What people bring, and what becomes of it: the cases that are tested, and shown in `mfcore/data/README.md`."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["CASES", "RATINGS", "ROWS", "Case", "Row"]

Outcome = Literal["accepted", "warned about", "refused"]
Files = Mapping[str, bytes]
"""By their paths in a folder; a single file is given by itself, several as their folder."""


@dataclass(frozen=True)
class Case:
    """Files of ratings and what is to become of them.

    Attributes:
        kind: the heading that it is listed under.
        what: what is special about the files.
        files: made from `RATINGS` or others of its own.
        outcome: accepted, warned about, or refused.
        says: part of the note, warning or error.
        config: of `dataset`.
        n_ratings: how many ratings come in; as many as in `RATINGS` where it is not said.
        gives: "same": the users, items, ratings and times of `RATINGS`; "no times": without these;
            "days": times to the day; "counts": other ratings, so many.
    """

    kind: str
    what: str
    files: Callable[[], Files]
    outcome: Outcome = "accepted"
    says: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    n_ratings: int | None = None
    gives: Literal["same", "no times", "days", "counts"] = "same"


@dataclass(frozen=True)
class Row:
    """One row among good ones, and why it is taken out; an empty reason: it stays."""

    what: str
    row: str
    reason: str


def _ratings() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    pairs = np.sort(rng.permutation(14 * 11)[:120])
    return pd.DataFrame(
        {
            "user_id": pairs // 11 + 3,
            "item_id": pairs % 11 + 20,
            "rating": rng.permutation(np.resize([1.0, 2, 3, 4, 5, 3.5, 4.5], 120)),
            "timestamp": 1_400_000_000 + rng.integers(0, 30_000_000, 120),
        }
    )


RATINGS = _ratings()


def _csv(frame: pd.DataFrame = RATINGS, **how: Any) -> bytes:
    return frame.to_csv(index=False, **how).encode()


def _one(name: str, content: Callable[[], bytes]) -> Callable[[], Files]:
    return lambda: {name: content()}


def _binary(write: Callable[[io.BytesIO], Any]) -> bytes:
    target = io.BytesIO()
    write(target)
    return target.getvalue()


def _zip(files: Files) -> bytes:
    def write(target: io.BytesIO) -> None:
        with zipfile.ZipFile(target, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return _binary(write)


def _parts(suffix: str, **how: Any) -> Files:
    thirds = [RATINGS[:40], RATINGS[40:80], RATINGS[80:]]
    return {f"part-{number:05}{suffix}": _csv(part, **how) for number, part in enumerate(thirds)} | {"_SUCCESS": b""}


def _named(*names: str) -> bytes:
    return _csv(RATINGS.set_axis(names, axis=1))


def _timed(times: Callable[["pd.Series[Any]"], Any]) -> bytes:
    return _csv(RATINGS.assign(timestamp=times(RATINGS["timestamp"])))


def _dated(form: str) -> bytes:
    return _timed(lambda one: pd.to_datetime(one, unit="s").dt.strftime(form))


def _rated(change: Callable[[pd.DataFrame], Any]) -> bytes:
    frame = RATINGS.copy()
    frame["rating"] = change(frame)
    return _csv(frame)


def _ids(change: Callable[["pd.Series[Any]"], Any]) -> bytes:
    return _csv(RATINGS.assign(user_id=change(RATINGS["user_id"])))


def _sheets() -> bytes:
    def write(target: io.BytesIO) -> None:
        with pd.ExcelWriter(target, engine="openpyxl") as book:
            pd.DataFrame({"about": ["ratings of a shop"]}).to_excel(book, sheet_name="about", index=False)
            RATINGS.to_excel(book, sheet_name="ratings", index=False)

    return _binary(write)


def _first_half(frame: pd.DataFrame, value: float) -> "pd.Series[Any]":
    return frame["rating"].where(frame.index >= 60, value)


_HEADLESS = {"header": False}
_AMAZON = RATINGS.assign(
    user_id=[f"A3{user:010}" for user in RATINGS["user_id"]], item_id=[f"B000{item:06}" for item in RATINGS["item_id"]]
)
_AMAZON_2023 = (
    b"user_id,parent_asin,rating,timestamp\n"
    b"AHZ6XMOLEWA67S3TX7IWEXXGWSOA,B00IX1I3G6,5.0,1549866158332\n"
    b"AHXX,B005ESMMWW,2.0,1599113048000\n"
)
_AMAZON_2018 = (
    b'{"overall": 5.0, "reviewerID": "APV13CM0919JD", "asin": "B001GXRQW0", "unixReviewTime": 1229644800}\n'
    b'{"overall": 4.0, "reviewerID": "A3G8U1G1V082SN", "asin": "B001GXRQW0", "unixReviewTime": 1229472000}\n'
)
_BOOKS = (
    b'"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n'
    b'"276726";"0155061224";"5"\n"276727";"044652\\"0802";"8"\n'
)
_FILES = "Files"
_LAYOUT = "Layout of a text"
_HEADS = "Columns"
_IDS = "Ids"
_SCALES = "Ratings and their scale"
_TIMES = "Times"
_KNOWN = "Published data sets, given as their files"

CASES = (
    Case(_FILES, "CSV", _one("a.csv", _csv)),
    Case(_FILES, "Parquet (`.parquet`, `.parq`, `.pq`)", _one("a.pq", lambda: _binary(RATINGS.to_parquet))),
    Case(_FILES, "gzip", _one("a.csv.gz", lambda: gzip.compress(_csv()))),
    Case(_FILES, "bzip2", _one("a.csv.bz2", lambda: bz2.compress(_csv()))),
    Case(_FILES, "xz", _one("a.csv.xz", lambda: lzma.compress(_csv()))),
    Case(_FILES, "zstd", _one("a.csv.zst", lambda: pa.compress(_csv(), codec="zstd", asbytes=True))),
    Case(_FILES, "zip with a README", _one("a.zip", lambda: _zip({"d/a.csv": _csv(), "d/README.md": b"# Ours"}))),
    Case(
        _FILES,
        "JSON, a record in each line",
        _one("a.jsonl", lambda: RATINGS.to_json(orient="records", lines=True).encode()),
    ),
    Case(_FILES, "JSON, a list of records", _one("a.json", lambda: json.dumps(RATINGS.to_dict("records")).encode())),
    Case(_FILES, "Excel (`.xlsx`), the longest sheet", _one("a.xlsx", _sheets)),
    Case(_FILES, "folder of CSV parts with `_SUCCESS`", lambda: _parts(".csv"), says="3 of 3 files hold the ratings"),
    Case(_FILES, "folder of parts without names", lambda: _parts("", **_HEADLESS), says="no head line"),
    Case(
        _FILES,
        "folder of compressed parts",
        lambda: {f"{name}.gz": gzip.compress(one) for name, one in _parts(".csv").items() if one},
    ),
    Case(
        _FILES,
        "folder with other tables and texts",
        lambda: {"a.csv": _csv(), "items.csv": b"item,title\n20,A\n", "LICENSE.txt": b"MIT"},
        says="1 of 2 files hold the ratings: a.csv",
    ),
    Case(
        _FILES,
        "split into files (`u1.base`, `u1.test`, `u2.base`, …)",
        lambda: {
            f"u{fold}.{part}": _csv(one, sep="\t", **_HEADLESS)
            for fold in (1, 2)
            for part, one in (("base", RATINGS[:90]), ("test", RATINGS[90:]))
        },
        says="2 of 4 files hold the ratings: u1.base, u1.test",
    ),
    Case(
        _FILES,
        "several tables of ratings that are no parts of one",
        lambda: {"a.csv": _csv(), "b.csv": _csv(RATINGS.drop(columns="timestamp"))},
        "refused",
        "holds several tables of ratings, such as",
    ),
    Case(
        _FILES,
        "folder of folders",
        lambda: {"a/a.csv": _csv(), "b/b.csv": _csv()},
        "refused",
        "and no files: give the folder of the files",
    ),
    Case(_FILES, "no data at all", _one("a.csv", lambda: b""), "refused", "is empty"),
    Case(_FILES, "no text", _one("a.csv", lambda: bytes(range(256))), "refused", "is not text"),
    Case(
        _FILES,
        "cut compressed file",
        _one("a.csv.gz", lambda: gzip.compress(_csv())[:-20]),
        "refused",
        "not a sound gzip file",
    ),
    Case(
        _LAYOUT,
        "semicolons, decimal commas",
        _one("a.csv", lambda: _csv(sep=";", decimal=",")),
        says="with a decimal comma",
    ),
    Case(_LAYOUT, "tabs", _one("a.tsv", lambda: _csv(sep="\t"))),
    Case(_LAYOUT, "bars", _one("a.txt", lambda: _csv(sep="|"))),
    Case(_LAYOUT, "`::`", _one("a.dat", lambda: _csv(sep="|").replace(b"|", b"::"))),
    Case(_LAYOUT, "spaces, several in a row", _one("a.txt", lambda: RATINGS.to_string(index=False).encode())),
    Case(_LAYOUT, "first line `sep=;`", _one("a.csv", lambda: b"sep=;\n" + _csv(sep=";"))),
    Case(_LAYOUT, "a separator more at the end of each line", _one("a.csv", lambda: _csv().replace(b"\n", b",\n"))),
    Case(
        _LAYOUT,
        "a separator more at the end of each row",
        _one("a.csv", lambda: _csv().replace(b"\n", b",\n").replace(b",\n", b"\n", 1)),
    ),
    Case(_LAYOUT, "line ends of Windows", _one("a.csv", lambda: _csv().replace(b"\n", b"\r\n"))),
    Case(_LAYOUT, "UTF-8 with a mark, or UTF-16", _one("a.csv", lambda: _csv().decode().encode("utf-16"))),
    Case(
        _LAYOUT,
        "Latin-1",
        _one("a.csv", lambda: _csv(RATINGS.assign(title="Les Misérables")).decode().encode("latin-1")),
        says="not UTF-8: read as cp1252",
    ),
    Case(
        _LAYOUT,
        "Cyrillic of Windows",
        _one("a.csv", lambda: _csv(RATINGS.assign(title="Весна на Заречной улице")).decode().encode("cp1251")),
        says="not UTF-8: read as cp1251",
    ),
    Case(
        _LAYOUT,
        "line ends inside of quotes",
        _one("a.csv", lambda: _csv(RATINGS.assign(title="two\nlines"), quoting=2)),
    ),
    Case(
        _LAYOUT,
        "a quote that is never closed",
        _one("a.csv", lambda: _csv() + b'9,30,"4,1400000000\n9,31,4,1400000000\n'),
        "refused",
        "quotes in line",
    ),
    Case(
        _HEADS,
        "names that differ by case, space, `-` or `_`",
        _one("a.csv", lambda: _named("User-ID", "itemid", "RATING", "Time Stamp")),
        says="taking column 'User-ID' for 'user_id'",
    ),
    Case(
        _HEADS,
        "names of your own, with `dataset.user_column` and so on",
        _one("a.csv", lambda: _named("who", "what", "stars", "when")),
        config={"user_column": "who", "item_column": "what", "rating_column": "stars", "timestamp_column": "when"},
    ),
    Case(
        _HEADS,
        "names that nobody gave",
        _one("a.csv", lambda: _named("users", "item_id", "rating", "timestamp")),
        "refused",
        "no column 'user_id' (did you mean 'users'?)",
    ),
    Case(
        _HEADS,
        "`dataset.timestamp_column` that is not there",
        _one("a.csv", _csv),
        "refused",
        "no column 'time'",
        {"timestamp_column": "time"},
    ),
    Case(
        _HEADS,
        "a column that is there twice",
        _one("a.csv", lambda: _named("user_id", "user_id", "item_id", "rating")),
        "refused",
        "has 2 columns named 'user_id'",
    ),
    Case(
        _HEADS,
        "no names, columns known by their values",
        _one("a.csv", lambda: _csv(**_HEADLESS)),
        says="no head line: columns taken by their values",
    ),
    Case(
        _HEADS,
        "no names, the item first (Amazon)",
        _one("a.csv", lambda: _csv(_AMAZON[["item_id", "user_id", "rating", "timestamp"]], **_HEADLESS)),
        says='dataset.columns = ["item_id", "user_id", "rating", "timestamp"]',
        gives="counts",
    ),
    Case(
        _HEADS,
        "no names, given by `dataset.columns`",
        _one("a.csv", lambda: _csv(RATINGS[["rating", "item_id", "timestamp", "user_id"]], **_HEADLESS)),
        config={"columns": ("rating", "item_id", "timestamp", "user_id")},
    ),
    Case(
        _HEADS,
        "no names, and several columns that may be the rating",
        _one("a.csv", lambda: _csv(RATINGS[["rating", "item_id", "timestamp", "user_id"]], **_HEADLESS)),
        "refused",
        "Name its 4 columns by their order: dataset.columns",
    ),
    Case(
        _IDS,
        "whole numbers written as floats",
        _one("a.csv", lambda: _ids(lambda one: one.map("{:.1f}".format))),
        says="written otherwise than they are compared",
    ),
    Case(
        _IDS,
        "white space around",
        _one("a.csv", lambda: _ids(lambda one: one.map("\u00a0{} ".format))),
        says="written otherwise than they are compared",
    ),
    Case(_IDS, "floats in Parquet", _one("a.parquet", lambda: _binary(RATINGS.astype({"user_id": float}).to_parquet))),
    Case(
        _SCALES,
        "any scale, read off the ratings",
        _one("a.csv", _csv),
        says="scale read off the ratings: 1 to 5, in steps of 0.5",
    ),
    Case(
        _SCALES,
        "a value that stands apart (-1, 0, 99)",
        _one("a.csv", lambda: _rated(lambda frame: _first_half(frame, 99))),
        "warned about",
        "stands apart from the others: if it means 'not rated', set dataset.not_rated = [99]",
        gives="counts",
    ),
    Case(
        _SCALES,
        "a lowest value of an unlikely share",
        _one("a.csv", lambda: _rated(lambda frame: _first_half(frame.round(), 0))),
        "warned about",
        "of all ratings: if it means 'not rated', set dataset.not_rated = [0]",
        gives="counts",
    ),
    Case(
        _SCALES,
        "the same, with `dataset.not_rated`",
        _one("a.csv", lambda: _rated(lambda frame: _first_half(frame, 0))),
        says="60 of 120 rows left out: 0 stands for not rated",
        config={"not_rated": (0,)},
        n_ratings=60,
        gives="counts",
    ),
    Case(
        _SCALES,
        "a single value at an end beside many",
        _one("a.csv", lambda: _rated(lambda frame: [*np.resize([1, 2, 3, 4, 5], 119), 6])),
        "warned about",
        "only 1 of 120 are not at most 5",
        gives="counts",
    ),
    Case(
        _TIMES,
        "milliseconds (micro-, nanoseconds likewise)",
        _one("a.csv", lambda: _timed(lambda one: one * 1000)),
        says="timestamp: read as milliseconds",
    ),
    Case(
        _TIMES,
        "dates in digits",
        _one("a.csv", lambda: _dated("%Y%m%d")),
        says="timestamp: read as dates such as 20100131",
        gives="days",
    ),
    Case(
        _TIMES,
        "days of Excel",
        _one("a.csv", lambda: _timed(lambda one: one // 86_400 + 25_569)),
        says="timestamp: read as Excel's days",
        gives="days",
    ),
    Case(
        _TIMES,
        "years",
        _one("a.csv", lambda: _timed(lambda one: 2014)),
        says="timestamp: read as years",
        gives="counts",
    ),
    Case(
        _TIMES, "`2010-01-31 00:17:14 UTC` and other ISO 8601", _one("a.csv", lambda: _dated("%Y-%m-%d %H:%M:%S UTC"))
    ),
    Case(_TIMES, "`31.01.2010`", _one("a.csv", lambda: _dated("%d.%m.%Y")), gives="days"),
    Case(
        _TIMES,
        "`01/31/2010`",
        _one("a.csv", lambda: _dated("%m/%d/%Y")),
        says="dates read as month-day (dataset.date_order)",
        gives="days",
    ),
    Case(
        _TIMES,
        "`01/02/2010` and none that tells day from month",
        _one("a.csv", lambda: _timed(lambda one: "01/02/2010")),
        "refused",
        'say which with dataset.date_order = "day-month" or "month-day"',
    ),
    Case(_TIMES, "an empty column", _one("a.csv", lambda: _timed(lambda one: "")), gives="no times"),
    Case(
        _TIMES,
        "0 or -1 for not known",
        _one("a.csv", lambda: _timed(lambda one: 0)),
        says="not known (0 or -1)",
        gives="no times",
    ),
    Case(
        _KNOWN,
        "Book-Crossing (`BX-Book-Ratings.csv`), without its zeros",
        lambda: {
            "BX-Book-Ratings.csv": _BOOKS,
            "BX-Books.csv": b'"ISBN";"Book-Title"\n"0155061224";"Rites of Passage"\n',
        },
        says="1 of 3 rows left out: 0 stands for not rated",
        n_ratings=2,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "Anime (`rating.csv`), without its -1",
        lambda: {
            "rating.csv": b"user_id,anime_id,rating\n1,20,-1\n1,24,10\n3,20,7\n",
            "anime.csv": b"anime_id,name\n20,Naruto\n",
        },
        says="1 of 3 rows left out: -1 stands for not rated",
        n_ratings=2,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "Goodbooks-10k (`ratings.csv`)",
        lambda: {
            "ratings.csv": b"user_id,book_id,rating\n1,258,5\n2,4081,4\n",
            "to_read.csv": b"user_id,book_id\n9,8\n",
        },
        n_ratings=2,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "FilmTrust (`ratings.txt` beside `trust.txt`)",
        lambda: {"ratings.txt": b"1 1 2\n1 2 4\n2 1 3.5\n", "trust.txt": b"2 966 1\n"},
        n_ratings=3,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "CiaoDVD (`movie-ratings.txt`)",
        lambda: {"movie-ratings.txt": b"1,7,2,1,5,2003-05-01\n2,7,2,2,3,2004-01-31\n", "readme.txt": b"x"},
        n_ratings=2,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "Netflix Prize (`combined_data_1.txt`, or `mv_0000001.txt`)",
        lambda: {
            "combined_data_1.txt": b"1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n1488844,4,2005-09-05\n",
            "movie_titles.csv": b"1,2003,Dinosaur Planet\n2,2004,Isle of Man, TT\n",
        },
        n_ratings=3,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "Amazon 2023 (`user_id,parent_asin,rating,timestamp`)",
        lambda: {"Gift_Cards.csv": _AMAZON_2023},
        says="timestamp: read as milliseconds",
        n_ratings=2,
        gives="counts",
    ),
    Case(
        _KNOWN,
        "Amazon 2018 (JSON of reviews)",
        lambda: {"Gift_Cards_5.json": _AMAZON_2018},
        n_ratings=2,
        gives="counts",
    ),
)

ROWS = (
    Row("user or item `NULL`, `NA`, `NaN`, `None`, `\\N` or empty", "NULL,61,3,1400000000", "user_id is missing"),
    Row("the same of an item", "4,\\N,3,1400000000", "item_id is missing"),
    Row("no rating", "4,62,,1400000000", "rating is missing"),
    Row("words for a rating", "4,63,good,1400000000", "rating is not a number: 'good'"),
    Row("a rating outside of the scale", "4,64,45,1400000000", "rating 45 is outside the scale from 1 to 5"),
    Row("a rating between the steps", "4,65,3.02,1400000000", "rating 3.02 is not on the scale from 1 in steps of 0.5"),
    Row("words for a time", "4,66,3,soon", "timestamp is no time: 'soon'"),
    Row("a time before anybody rated", "4,67,3,14610", "timestamp 14610 lies before March 1973"),
    Row("a time in the future", "4,68,3,4000000000", "timestamp 4000000000 lies in the future"),
    Row("a field too few or too many", "4,69,3", "the fields of the row don't add up"),
    Row("no time among others", "4,70,3,", ""),
    Row("`4,5` among numbers with points", '4,71,"4,5",1400000000', ""),
)
