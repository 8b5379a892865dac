import numpy as np
import pandas as pd
import pytest

from mfcore.data.readers import recognize
from mfcore.errors import DataInvalid

ROWS = [("7", "a", 4.0, 100), ("9", "b", 3.5, 200)]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_every_separator_and_line_ending_gives_the_same_frame(load, separator, ending):
    lines = [("item_id", "rating", "user_id", "timestamp")] + [(i, str(r), u, str(t)) for u, i, r, t in ROWS]
    frame = load("mine.csv", ending.join(map(separator.join, lines)) + ending).ratings
    assert frame["user_id"].tolist() == [7, 9]
    assert frame["user_id"].dtype == np.int64
    assert frame["item_id"].tolist() == ["a", "b"]
    assert frame["item_id"].dtype == object
    assert frame["rating"].tolist() == [4.0, 3.5]
    assert frame["timestamp"].tolist() == [100, 200]
    assert frame.index.tolist() == [2, 3]


def test_columns_may_have_other_names_and_a_byte_order_mark(load):
    text = "\ufeffcustomer,article,stars,when\n1,2,3,4\n"
    config = {"user_column": "customer", "item_column": "article", "rating_column": "stars", "timestamp_column": "when"}
    frame = load("mine.csv", text, **config).ratings
    assert frame.to_dict("list") == {"user_id": [1], "item_id": [2], "rating": [3.0], "timestamp": [4]}


def test_utf_16_as_spreadsheets_write_it(load):
    frame = load("mine.txt", "user_id\titem_id\trating\nü\t2\t3\n".encode("utf-16")).ratings
    assert frame.to_dict("list") == {"user_id": ["ü"], "item_id": [2], "rating": [3.0]}


@pytest.mark.parametrize(
    "ids",
    [
        ["007", "7", "8"],
        ["1", "2", "x"],
        ["+1", "2", "3"],
        ["1.5", "2", "3"],
        ["9223372036854775808", "1", "2"],
        ["Ωμέγα", "naïve", "名前"],
        ["x" * 10_000, "Na", "nul"],
        ["-0", "1", "2"],
    ],
)
def test_ids_that_are_not_plain_integers_stay_as_they_are(load, ids):
    text = "user_id,item_id,rating\n" + "".join(f"{one},5,3\n" for one in ids)
    column = load("mine.csv", text).ratings["user_id"]
    assert column.dtype == object
    assert column.tolist() == ids


def test_integers_at_the_ends_of_the_range_stay_integers(load):
    ids = [2**63 - 1, -(2**63), 0]
    frame = load("mine.csv", "user_id,item_id,rating\n" + "".join(f"{one},5,3\n" for one in ids)).ratings
    assert frame["user_id"].dtype == np.int64
    assert frame["user_id"].tolist() == ids


def test_one_late_text_id_turns_all_into_text_without_loss(load, monkeypatch):
    monkeypatch.setattr("mfcore.data.tables._BLOCK", 256)  # many batches
    ids = [str(number) for number in range(500)] + ["00x"]
    frame = load("mine.csv", "user_id,item_id,rating\n" + "".join(f"{one},5,3\n" for one in ids)).ratings
    assert frame["user_id"].tolist() == ids
    assert frame["item_id"].dtype == np.int64


def test_what_cannot_be_read_keeps_its_row_and_its_text(load):
    text = "user_id,item_id,rating,timestamp\n1,2,five,4\n1,3,4\n1,4,3,5\n\n,5,3,6\n1,6,inf,soon\n1,7,,8\n"
    tables = load("mine.csv", text)
    assert tables.unread.values.tolist() == [
        [2, "rating", "five"],
        [3, "row", "1,3,4"],
        [7, "rating", "inf"],
        [7, "timestamp", "soon"],
    ]
    frame = tables.ratings
    assert frame.index.tolist() == [2, 3, 4, 6, 7, 8]  # line 5 is blank
    assert frame["rating"].isna().tolist() == [True, True, False, False, True, True]
    assert frame["user_id"].isna().tolist() == [False, True, False, True, False, False]
    assert frame.loc[4].tolist() == [1, 4, 3, 5]


def test_a_body_with_another_separator_than_its_header_is_refused_in_the_end(load, monkeypatch):
    text = "user_id,item_id,rating\n" + "1;2;3\n" * 50
    assert len(load("mine.csv", text).unread) == 50
    monkeypatch.setattr("mfcore.data.tables._MAX_RAGGED", 20)
    with pytest.raises(DataInvalid, match=r"Row #22: Expected 3 columns, got 1: 1;2;3"):
        load("mine.csv", text)


def test_times_may_be_dates(load):
    text = "user_id,item_id,rating,timestamp\n1,2,3,2020-01-01T00:00:00Z\n1,3,3,2020-01-02\n1,4,3,1577836801.7\n"
    assert load("mine.csv", text).ratings["timestamp"].tolist() == [1577836800, 1577923200, 1577836801]


def test_titles_come_along_once_an_item(load):
    text = 'user_id,item_id,rating,title\n1,2,3,"Heat, ""the"" film (1995)"\n2,2,4,Heat\n2,3,4,Casino\n'
    items = load("mine.csv", text).items
    assert items.to_dict("list") == {"item_id": [2, 3], "title": ['Heat, "the" film (1995)', "Casino"]}


def test_parquet_with_typed_columns(tmp_path, load):
    frame = pd.DataFrame(
        {
            "user_id": ["x", "y"],
            "item_id": [1.0, 2.0],
            "rating": np.array([3, 4], np.int8),
            "timestamp": pd.to_datetime(["2020-01-01", "1969-12-31"]),
        }
    )
    frame.to_parquet(tmp_path / "source.parquet")
    read_back = load("mine.parquet", (tmp_path / "source.parquet").read_bytes()).ratings
    assert read_back["user_id"].tolist() == ["x", "y"]
    assert read_back["item_id"].tolist() == [1, 2]
    assert read_back["rating"].tolist() == [3.0, 4.0]
    assert read_back["timestamp"].tolist() == [1577836800, -86400]


def test_the_scale_is_the_configured_one_or_left_to_the_checks(load):
    text = "user_id,item_id,rating\n1,2,3\n"
    tables = load("mine.csv", text, scale_min=1, scale_max=10, scale_step=0.5)
    assert (tables.scale, tables.given) == (None, {"minimum": 1, "maximum": 10, "step": 0.5})
    assert load("mine.csv", text).given == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["mine.csv is empty"]),
        ("\n \n", ["mine.csv is empty"]),
        (
            "user,movie,rating\n1,2,3\n",
            [
                "no column 'user_id' (did you mean 'user'?) or 'item_id'; found columns user, movie",
                "dataset.user_column",
            ],
        ),
        ("user_id/item_id/rating\n1/2/3\n", ["no separator found", "user_id/item_id/rating", "semicolon"]),
        ("1,2,3,x,y\n4,5,6,x,y\n", ["no line of column names", 'dataset.columns = ["user_id", "item_id", "rating"']),
        ("users,items,ratings\n1,2,3\n", ["no column 'user_id'", "did you mean 'users'?"]),
        ("user_id,item_id,rating,rating\n1,2,3,4\n", ["2 columns named 'rating'"]),
        (b"PK\x03\x04\x00\x00\x00", ["is not text"]),
        ('user_id,item_id,rating\n1,2,3\n2,"3,4\n5,6,7\n8,9,1\n', ["quotes in line 3"]),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(load, content, words):
    with pytest.raises(DataInvalid) as raised:
        load("mine.csv", content)
    for word in words:
        assert word in str(raised.value)
    assert raised.value.exit_code == 3


def test_text_that_calls_itself_parquet_is_refused(load):
    with pytest.raises(DataInvalid, match=r"mine.parquet cannot be read as Parquet"):
        load("mine.parquet", "user_id,item_id,rating\n1,2,3\n")


def test_parquet_without_the_columns_names_what_it_found(load, tmp_path):
    pd.DataFrame({"user": [1], "rating": [2]}).to_parquet(tmp_path / "source.parquet")
    with pytest.raises(DataInvalid, match=r"no column 'user_id' .* or 'item_id'; found columns user, rating"):
        load("mine.parquet", (tmp_path / "source.parquet").read_bytes())


def test_a_folder_without_ratings_says_what_was_found(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "more.md").write_text("x")
    with pytest.raises(DataInvalid, match=r"more.md, notes.md"):
        recognize(tmp_path)
