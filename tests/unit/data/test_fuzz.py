"""Whatever bytes come, the answer is a frame that holds what the file says, or one clear message."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xlwt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfcore.config import DatasetConfig
from mfcore.data.catalog import resolve
from mfcore.data.ids import id_text, is_missing
from mfcore.data.readers import Tables, read
from mfcore.data.sources import fetch
from mfcore.errors import DataInvalid, SourceUnavailable

NAMES = ["user_id", "item_id", "rating", "timestamp"]
LINES = [(u, i, (u * i) % 5 + 1, 1_000_000_000 + u) for u in range(1, 8) for i in range(1, 6)]


def delimited(separator: str, header: str | None, ending: str = "\n", n_columns: int = 4) -> bytes:
    lines = [separator.join(map(str, line[:n_columns])) for line in LINES]
    return (ending.join([*([header] if header else []), *lines]) + ending).encode()


def parquet(folder: Path) -> bytes:
    pd.DataFrame(LINES, columns=NAMES).to_parquet(folder / "x.parquet")
    return (folder / "x.parquet").read_bytes()


def spreadsheet(folder: Path) -> bytes:
    book = xlwt.Workbook()
    sheet = book.add_sheet("jokes")
    for row in range(30):
        for column, cell in enumerate([2, 1.5 * row % 9, 99, -row % 7, 99]):
            sheet.write(row, column, cell)
    book.save(folder / "x.xls")
    return (folder / "x.xls").read_bytes()


def workbook(folder: Path) -> bytes:
    pd.DataFrame(LINES, columns=NAMES).to_excel(folder / "x.xlsx", index=False)
    return (folder / "x.xlsx").read_bytes()


QUOTED = b'user_id,item_id,rating,title\n1,2,3,"Heat, ""the"" film"\n\xc3\xbc,3,4,"two\nlines"\n007,2,5,Heat\n'
SEEDS: dict[str, tuple[str, Callable[[Path], dict[str, bytes]]]] = {
    "csv": ("mine.csv", lambda _: {"mine.csv": delimited(",", "user_id,item_id,rating,timestamp")}),
    "windows": ("mine.csv", lambda _: {"mine.csv": delimited(";", "user_id;item_id;rating;timestamp", "\r\n")}),
    "quoted": ("mine.csv", lambda _: {"mine.csv": QUOTED}),
    "colons": ("mine.txt", lambda _: {"mine.txt": delimited("::", "user_id::item_id::rating::timestamp")}),
    "parquet": ("mine.parquet", lambda folder: {"mine.parquet": parquet(folder)}),
    "ml-100k": (".", lambda _: {"u.data": delimited("\t", None), "u.item": b"1|Caf\xe9|1-Jan-1995||u|0|1\n"}),
    "ml-1m": (".", lambda _: {"ratings.dat": delimited("::", None), "movies.dat": b"1::Caf\xe9 (1995)::Drama\n"}),
    "ml-20m": (
        ".",
        lambda _: {
            "ratings.csv": delimited(",", "userId,movieId,rating,timestamp"),
            "movies.csv": b'movieId,title,genres\n1,"A, ""B"" (1995)",Drama|War\n',
            "links.csv": b"movieId,imdbId,tmdbId\n1,0114709,862\n",
        },
    ),
    "recbole": (
        ".",
        lambda _: {
            "x.inter": delimited("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float"),
            "x.item": b"item_id:token\tmovie_title:token_seq\trelease_year:token\n1\tHeat\t1995\n",
        },
    ),
    "compressed": (
        "mine.csv.gz",
        lambda _: {"mine.csv.gz": gzip.compress(delimited(",", "user_id,item_id,rating,timestamp"), mtime=0)},
    ),
    "json": (
        "mine.jsonl",
        lambda _: {
            "mine.jsonl": "".join(json.dumps(dict(zip(NAMES, one, strict=True))) + "\n" for one in LINES).encode()
        },
    ),
    "workbook": ("mine.xlsx", lambda folder: {"mine.xlsx": workbook(folder)}),
    "parts": (
        ".",
        lambda _: {f"part-{one}.csv": delimited(",", "user_id,item_id,rating,timestamp") for one in range(2)},
    ),
    "without a head": ("mine.txt", lambda _: {"mine.txt": delimited(" ", None)}),
    "dates": (
        "mine.csv",
        lambda _: {"mine.csv": b"userId;ItemID;Rating;timestamp\n7;8;3,5;31.01.2010\n7;9;4;01.02.2010\n8;8;1;x\n"},
    ),
    "western": (
        "mine.csv",
        lambda _: {"mine.csv": "user_id,item_id,rating,title\nü,1,2,Café\n1,2,3,Ä\n7,1,5,é\n".encode("latin-1")},
    ),
    "book-crossing": (
        ".",
        lambda _: {
            "BX-Book-Ratings.csv": b'"User-ID";"ISBN";"Book-Rating"\n1;"3\\"X";"5"\n2;"9";"0"\n3;"9";"7"\n4;"8";1\n',
            "BX-Books.csv": b'"ISBN";"Book-Title"\n"9";"Rites \xe9 of"\n',
        },
    ),
    "netflix": (
        ".",
        lambda _: {
            "combined_data_1.txt": b"1:\n14,3,2005-09-06\n82,5,2005-05-13\n2:\n14,4,2005-09-05\n",
            "movie_titles.csv": b"1,2003,Dinosaur, Planet\n",
        },
    ),
    "jester-wide": (".", lambda _: {"jester-data-1.csv": b"".join(b"2,%d,99,-3.5,99\n" % one for one in range(9))}),
    "jester-xls": (".", lambda folder: {"jester-data-1.xls": spreadsheet(folder)}),
    "jester-long": (
        ".",
        lambda _: {
            "jester_ratings.dat": delimited("\t\t", None, n_columns=3),
            "jester_items.dat": b"1:\n<p>Knock &amp; <br/>knock</p>\n",
        },
    ),
}


def answer(folder: Path, name: str, files: dict[str, bytes]) -> Tables | str:
    """What a run makes of `files`: tables, or the message of the error it ends with."""
    source, raw = folder / "source", folder / "raw"
    for path in (source, raw):
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
    for file, content in files.items():
        (source / file).write_bytes(content)
    config = DatasetConfig(name=str(source / name))
    try:
        tables = read(raw, fetch(resolve(config), raw, folder / "downloads"), config)
    except (DataInvalid, SourceUnavailable) as error:
        message = str(error)
        assert 10 < len(message) < 1500
        assert "Traceback" not in message
        assert "object at 0x" not in message
        return message
    frame = tables.ratings
    assert frame.index.is_unique
    assert frame["rating"].dtype == np.float64
    assert not np.isinf(frame["rating"]).any()
    for column in ("user_id", "item_id"):
        assert str(frame[column].dtype) in ("int64", "Int64", "object")
    assert set(tables.unread["column"]) <= {"row", "rating", "timestamp"}
    assert tables.unread["row"].isin(frame.index).all()
    return tables


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One of the accidents that files meet: bytes flipped, lost, doubled, swapped or put in."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.choice((1, 3, 50))]
        elif kind == 2:
            data[at:at] = rng.choice((b'"', b"\n", b"\r", b"\0", b"\xff", b",", b"\t", b"::", b"9" * 20, b"-"))
        elif kind == 3:
            data[at:at] = data[: rng.choice((1, 10, 200))]
        elif kind == 4:
            data = data[:at]
        else:
            data[at : at + 4] = bytes(rng.randrange(256) for _ in range(4))
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_themselves_are_read(tmp_path, seed):
    name, files = SEEDS[seed]
    tables = answer(tmp_path, name, files(tmp_path))
    assert isinstance(tables, Tables)
    assert len(tables.unread) == (1 if seed == "dates" else 0)
    assert len(tables.ratings) >= 3
    has_items = seed in ("quoted", "western", "book-crossing", "netflix", "recbole", "jester-long") or seed.startswith(
        "ml-"
    )
    assert (tables.items is not None) == has_items


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_mutants", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_damaged_files_end_in_tables_or_a_message(tmp_path, seed, n_mutants):
    name, files = SEEDS[seed]
    originals = files(tmp_path)
    rng = random.Random(n_mutants)
    for _ in range(n_mutants):
        victim = rng.choice(list(originals))
        answer(tmp_path, name, originals | {victim: mutated(originals[victim], rng)})


@given(st.binary(max_size=400), st.sampled_from(list(SEEDS)), st.integers(0, 80))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_end_in_tables_or_a_message(tmp_path, content, seed, n_kept):
    name, files = SEEDS[seed]
    originals = files(tmp_path)
    first = next(iter(originals))
    answer(tmp_path, name, originals | {first: content})
    answer(tmp_path, name, originals | {first: originals[first][:n_kept] + content})


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)


@given(st.lists(st.tuples(fields, fields, st.one_of(fields, st.integers(1, 5).map(str))), min_size=1, max_size=30))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_well_formed_file_is_read_as_it_was_written(tmp_path, rows):
    """Every id comes back by the rule of ids, and each rating that is no number is kept as its text."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["user_id", "item_id", "rating"])
    writer.writerows(rows)
    tables = answer(tmp_path, "mine.csv", {"mine.csv": text.getvalue().encode()})
    if isinstance(tables, str):
        pytest.fail(tables)
    frame = tables.ratings
    texts = dict(zip(tables.unread["row"], tables.unread["text"], strict=True))
    for number, (user, item, rating) in enumerate(rows, 2):
        if id_text(user) is None and id_text(item) is None and is_missing(rating.strip()):
            continue
        for column, expected in (("user_id", user), ("item_id", item)):
            found = frame.loc[number, column]
            assert (None if pd.isna(found) else str(found)) == id_text(expected)
        if number in texts:
            assert texts[number] == rating
        elif not is_missing(rating.strip()):
            assert float(rating.replace(",", ".")) == frame.loc[number, "rating"]
