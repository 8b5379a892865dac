import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.merging import merge, merge_items
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.times import UNKNOWN

STARS = Scale(1, 5, 1)


def ratings_of(rows: list[tuple[object, int, float, int]], scale: Scale = STARS) -> Ratings:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "timestamp"])
    if not all(isinstance(row[0], int) for row in rows):
        frame["user_id"] = frame["user_id"].astype(object)
    return Ratings.from_frame(frame, scale)


def content(ratings: Ratings) -> dict[tuple[object, object], tuple[float, int]]:
    frame = ratings.to_frame()
    pairs = zip(frame["user_id"], frame["item_id"], strict=True)
    return dict(zip(pairs, zip(frame["rating"], frame["timestamp"], strict=True), strict=True))


OLD = ratings_of([(1, 10, 3, 100), (1, 11, 4, 100), (2, 10, 5, 200)])


def test_new_later_and_known_ratings_are_told_apart():
    new = ratings_of([(1, 10, 5, 150), (1, 11, 4, 100), (2, 10, 1, 150), (3, 10, 2, 300)])
    merged = merge(OLD, new)
    assert (merged.n_new, merged.n_changed, merged.n_known) == (1, 1, 2)
    assert content(merged.ratings) == {(1, 10): (5, 150), (1, 11): (4, 100), (2, 10): (5, 200), (3, 10): (2, 300)}
    assert not merged.is_unchanged


def test_nothing_new_gives_the_same_bits():
    merged = merge(OLD, ratings_of([(2, 10, 5, 200)]))
    assert merged.is_unchanged
    assert merged.ratings.values.tobytes() == OLD.values.tobytes()
    assert merged.ratings.times.tobytes() == OLD.times.tobytes()
    assert merged.ratings.user_ids.tolist() == OLD.user_ids.tolist()


def test_another_scale_is_something_new():
    merged = merge(OLD, ratings_of([(2, 10, 5, 200)], Scale(0, 5, 1)))
    assert (merged.n_new, merged.n_changed, merged.is_unchanged) == (0, 0, False)
    assert merged.ratings.scale == Scale(0, 5, 1)


def test_without_times_the_new_rating_counts_and_known_times_stay():
    new = Ratings.from_frame(
        pd.DataFrame({"user_id": [1, 1, 5], "item_id": [10, 11, 10], "rating": [1.0, 4, 2]}), STARS
    )
    merged = merge(OLD, new)
    assert (merged.n_new, merged.n_changed, merged.n_known) == (1, 1, 1)
    assert merged.ratings.times.tolist() == [100, 200, UNKNOWN, UNKNOWN]
    assert merge(merged.ratings, new).is_unchanged


def test_ids_of_another_type_are_the_same_ids():
    merged = merge(OLD, ratings_of([("1", 10, 3, 100), ("x", 10, 2, 1)]))
    assert (merged.n_new, merged.n_known) == (1, 1)
    assert merged.ratings.user_ids.tolist() == ["1", "2", "x"]


def test_the_scale_is_that_of_the_new_ratings_which_were_checked_against_it():
    assert merge(OLD, ratings_of([(9, 9, 0.5, 1)], Scale(0, 5, 0.5))).ratings.scale == Scale(0, 5, 0.5)


def test_a_rating_that_goes_back_to_an_earlier_value_is_a_change():
    frames = [pd.DataFrame({"user_id": [1], "item_id": [1], "rating": [value]}) for value in (3.0, 5.0, 3.0)]
    first, second, third = (Ratings.from_frame(frame, STARS) for frame in frames)
    assert merge(merge(first, second).ratings, third).ratings.values.tolist() == [3.0]


def test_items_of_both_are_known_and_the_new_title_counts():
    old = pd.DataFrame({"item_id": [1, 2], "title": ["Heat", "Casino"]})
    new = pd.DataFrame({"item_id": ["2", "x3"], "title": ["Casino (1995)", "Ran"]})
    merged = merge_items(old, new)
    assert dict(merged.itertuples(index=False)) == {"1": "Heat", "2": "Casino (1995)", "x3": "Ran"}
    assert merge_items(None, new) is new
    assert merge_items(old, None) is old


rows = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.integers(1, 5).map(float), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)


@given(rows, rows)
@settings(max_examples=200)
def test_a_merge_is_what_a_dictionary_would_make_of_it(before, after):
    expected = dict(before)
    for pair, (rating, moment) in after.items():
        if pair not in before or moment >= before[pair][1]:
            expected[pair] = (rating, moment)
    old, new = (ratings_of([(*pair, *what) for pair, what in table.items()]) for table in (before, after))
    merged = merge(old, new)
    assert content(merged.ratings) == expected
    assert merged.n_new == len(set(after) - set(before))
    assert merged.n_changed == sum(expected[pair] != before[pair] for pair in before)
    assert merged.n_new + merged.n_changed + merged.n_known == len(after)
    again = merge(merged.ratings, new)
    assert again.is_unchanged
    assert np.array_equal(again.ratings.values, merged.ratings.values)
