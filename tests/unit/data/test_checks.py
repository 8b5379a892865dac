import json

import numpy as np
import pandas as pd
import pytest

from mfcore.config import ValidationConfig
from mfcore.data.checks import check
from mfcore.data.ratings import Scale
from mfcore.data.readers import Tables
from mfcore.data.synthetic import synthesize

STARS = Scale(1, 5, 1)
NOTHING = pd.DataFrame(columns=["row", "column", "text"])


def good(n: int = 400) -> pd.DataFrame:
    frame = synthesize(40, 30, n).frame
    frame.index = pd.RangeIndex(2, n + 2)
    return frame


def tables(frame: pd.DataFrame, scale: Scale | None = STARS, unread: pd.DataFrame = NOTHING) -> Tables:
    return Tables(frame, None, scale, unread, "mine.csv")


def test_good_ratings_pass_unchanged_and_each_expectation_says_so():
    frame = good()
    result = check(tables(frame), ValidationConfig())
    assert result.problems == []
    assert len(result.quarantine) == 0
    pd.testing.assert_frame_equal(result.ratings, frame)
    assert all(one["success"] for one in result.results)
    asked = {(one["expectation"], one["column"]) for one in result.results}
    assert ("expect_compound_columns_to_be_unique", "user_id, item_id") in asked
    assert ("expect_column_values_to_be_in_set", "rating") in asked
    assert ("expect_table_row_count_to_be_between", None) in asked


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("rating", 6.0, "rating 6 is outside the scale from 1 to 5"),
        ("rating", 2.5, "rating 2.5 is not on the scale from 1 in steps of 1"),
        ("rating", np.nan, "rating is missing"),
        ("timestamp", -5, "timestamp -5 lies before 1970"),
        ("timestamp", 20_100_101, "timestamp 20100101 lies before March 1973, and is no time in seconds"),
        ("timestamp", 4_000_000_000, "timestamp 4000000000 lies in the future"),
        (
            "timestamp",
            1_500_000_000_000,
            "timestamp 1500000000000 lies in the future; it looks like milliseconds, and seconds are expected",
        ),
        ("user_id", None, "user_id is missing"),
        ("item_id", None, "item_id is missing"),
    ],
)
def test_a_bad_row_is_quarantined_with_its_number_and_the_reason(column, value, reason):
    frame = good()
    if value is None:
        frame[column] = frame[column].astype("Int64")
    frame.loc[17, column] = value
    result = check(tables(frame), ValidationConfig())
    assert result.problems == []
    assert result.quarantine[["row", "reason"]].values.tolist() == [[17, reason]]
    assert 17 not in result.ratings.index
    assert len(result.ratings) == 399
    assert result.ratings.dtypes.astype(str).to_dict() == {
        "user_id": "int64",
        "item_id": "int64",
        "rating": "float64",
        "timestamp": "int64",
    }


def test_text_in_place_of_a_rating_is_quarantined_as_it_was():
    frame = good()
    frame.loc[9, "rating"] = np.nan
    unread = pd.DataFrame({"row": [9], "column": ["rating"], "text": ["five"]})
    result = check(tables(frame, unread=unread), ValidationConfig())
    (row,) = result.quarantine.to_dict("records")
    assert (row["row"], row["rating"], row["reason"]) == (9, "five", "rating is not a number: 'five'")
    assert row["user_id"] == str(frame.loc[9, "user_id"])


def test_too_many_bad_rows_stop_the_run_with_count_share_and_the_first():
    frame = good()
    frame.loc[[10, 11, 12, 13, 14], "rating"] = 9.0
    result = check(tables(frame), ValidationConfig())
    (problem,) = result.problems
    assert problem.startswith("mine.csv: 5 of 400 rows (1.2%) are refused, more than the 1.0% of")
    assert "First: row 10, rating 9 is outside the scale from 1 to 5" in problem
    assert check(tables(frame), ValidationConfig(max_quarantined=0.0125)).problems == []


def test_more_failing_rows_than_can_be_listed_still_stop_the_run(monkeypatch):
    monkeypatch.setattr("mfcore.data.checks._MAX_LISTED", 50)
    frame = good()
    frame["rating"] = 9.0
    result = check(tables(frame), ValidationConfig(max_quarantined=1))
    assert result.problems[0].startswith("mine.csv: 400 of 400 rows (100.0%) are refused")
    assert "First: row 2, rating 9 is outside the scale from 1 to 5" in result.problems[0]


def test_repeated_ratings_are_resolved_however_many_there_are(monkeypatch):
    monkeypatch.setattr("mfcore.data.checks._MAX_LISTED", 2)
    assert check(tables(twice()), ValidationConfig()).problems == []


def test_what_was_found_can_be_written_as_json():
    frame = twice()
    frame.loc[7, "rating"] = 2.5
    frame.loc[8, "timestamp"] = -1
    for one in (frame, frame.drop(columns="timestamp")):
        json.dumps(check(tables(one), ValidationConfig()).results, allow_nan=False)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"min_ratings": 401}, "400 ratings are fewer than validation.min_ratings, 401"),
        ({"min_users": 41}, "40 users are fewer than validation.min_users, 41"),
        ({"min_items": 31}, "30 items are fewer than validation.min_items, 31"),
    ],
)
def test_too_few_of_anything_stops_the_run(config, words):
    assert check(tables(good()), ValidationConfig(**config)).problems == [f"mine.csv: {words}"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"max_cold_users": 0.1, "cold_below": 10}, "users have fewer than 10 ratings (validation.cold_below)"),
        ({"max_cold_items": 0.1, "cold_below": 10}, "items have fewer than 10 ratings (validation.cold_below)"),
        ({"max_user_share": 0.05}, "one user holds"),
        ({"max_item_share": 0.04}, "one item holds"),
    ],
)
def test_a_lopsided_table_stops_the_run(config, words):
    frame = good()
    (problem,) = check(tables(frame), ValidationConfig(**config)).problems
    assert words in problem
    if "share" in words:
        column = "user_id" if "user" in words else "item_id"
        assert f"{frame[column].value_counts().iloc[0] / 400:.1%}" in problem


def test_of_too_few_nothing_is_said_that_follows_from_it():
    """With so few users each is cold, and each holds a large share."""
    asked = ValidationConfig(min_users=1041, max_cold_users=0, cold_below=1000, max_user_share=0.001)
    assert check(tables(good()), asked).problems == ["mine.csv: 40 users are fewer than validation.min_users, 1,041"]


def test_ratings_all_alike_stop_the_run():
    (problem,) = check(tables(good().assign(rating=3.0)), ValidationConfig()).problems
    assert "all ratings are alike" in problem


def test_data_docs_tell_of_every_run_and_leave_nothing_else_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    frame = good()
    frame.loc[9, "rating"] = 9.0
    check(tables(frame), ValidationConfig(), tmp_path / "docs")
    assert (tmp_path / "docs" / "index.html").is_file()
    pages = [path.read_text() for path in (tmp_path / "docs" / "validations").rglob("*.html")]
    assert len(pages) == 5  # ratings as read, ratings kept, repeated pairs, users, items
    assert any("values must be greater than or equal to" in page for page in pages)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_no_rows_at_all_stop_the_run():
    assert check(tables(good().iloc[:0], None), ValidationConfig()).problems


def twice() -> pd.DataFrame:
    """One pair three times (rows 500, 501 and 502, the middle one the latest), everything else once."""
    frame = good()
    extra = pd.DataFrame(
        {
            "user_id": 99,
            "item_id": 98,
            "rating": [1.0, 5.0, 3.0],
            "timestamp": [1_000_000_010, 1_000_000_030, 1_000_000_020],
        },
        index=[500, 501, 502],
    )
    return pd.concat([frame, extra])


def test_of_repeated_ratings_the_last_by_time_stays():
    result = check(tables(twice()), ValidationConfig(max_quarantined=0))
    assert result.problems == []
    assert result.ratings.loc[501, "rating"] == 5
    assert set(result.ratings.index) == set(range(2, 402)) | {501}
    assert result.quarantine[["row", "reason"]].values.tolist() == [
        [500, "superseded by row 501"],
        [502, "superseded by row 501"],
    ]
    repeated = next(one for one in result.results if "compound" in one["expectation"])
    assert (repeated["success"], repeated["unexpected"]) == (False, 3)


def test_without_times_the_last_row_stays():
    result = check(tables(twice().drop(columns="timestamp")), ValidationConfig())
    assert result.ratings.loc[502, "rating"] == 3
    assert result.quarantine["row"].tolist() == [500, 501]


def test_repeated_ratings_can_be_averaged():
    result = check(tables(twice()), ValidationConfig(duplicates="mean"))
    assert result.ratings.loc[501, ["rating", "timestamp"]].tolist() == [3.0, 1_000_000_030]
    assert len(result.ratings) == 401


def test_repeated_ratings_can_be_refused():
    result = check(tables(twice()), ValidationConfig(duplicates="error"))
    assert set(result.ratings.index) == set(range(2, 402))
    assert result.quarantine["reason"].str.startswith("rated twice").all()
    assert result.problems == []
    (problem,) = check(tables(twice()), ValidationConfig(duplicates="error", max_quarantined=0)).problems
    assert "3 of 403 rows" in problem


def test_the_input_is_left_as_it_was():
    frame = twice()
    before = frame.copy(deep=True)
    check(tables(frame), ValidationConfig(duplicates="mean"))
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 5, 3], Scale(1, 5, 1)),
        ([0.5, 4, 3.5], Scale(0.5, 4, 0.5)),
        ([-9.81, 3.2, 7], Scale(-9.81, 7, None)),
        ([0.1, 0.2, 0.3], Scale(0.1, 0.3, None)),
    ],
)
def test_a_scale_that_is_not_given_is_read_off_the_ratings(values, scale):
    frame = good()
    frame["rating"] = np.resize(values, len(frame)).astype(float)
    result = check(tables(frame, None), ValidationConfig())
    assert result.scale == scale
    assert result.problems == []


def test_steps_that_binary_fractions_miss_are_met_all_the_same():
    frame = good()
    frame["rating"] = np.resize([0.1, 0.2, 0.3, 0.7], len(frame))
    assert check(tables(frame, Scale(0.1, 1, 0.1)), ValidationConfig()).problems == []


def test_text_ids_are_checked_like_integers():
    frame = good()
    frame["user_id"] = pd.Series([f"u{one}" for one in frame["user_id"]], frame.index, dtype=object)
    frame.loc[5, "user_id"] = None
    result = check(tables(frame), ValidationConfig())
    assert result.problems == []
    assert result.quarantine["row"].tolist() == [5]
    assert result.ratings["user_id"].dtype == object
