import re

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mfcore.data.quarantine import PAIR, repeated, too_many

ids = st.one_of(st.integers(-3, 3), st.sampled_from([2**62, -(2**62)]))


@given(st.lists(st.tuples(ids, ids), max_size=30), st.booleans())
def test_repeated_rows_are_those_that_pandas_calls_duplicated(pairs, as_text):
    frame = pd.DataFrame(pairs, columns=PAIR, index=range(5, len(pairs) + 5), dtype="int64")
    if as_text:
        frame = frame.assign(user_id=pd.Series([str(one) for one in frame["user_id"]], frame.index, dtype=object))
    assert repeated(frame).index.tolist() == frame.index[frame.duplicated(PAIR, keep=False)].tolist()


REASONS = st.sampled_from(
    [
        "rating is not a number: 'a. b.'",
        "timestamp 1262305034 lies in the future",
        "user_id is missing",
        "rating 9 is odd",
    ]
)


@given(st.lists(REASONS, min_size=1, max_size=20), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**7))
def test_counts_of_refused_rows_are_whole_and_nothing_ends_twice(reasons, n_good, n_unlisted, first):
    wrong = pd.Series(reasons, range(first, first + len(reasons)), dtype=object)
    n_rows = n_good + max(n_unlisted, len(wrong))
    said = too_many(n_rows, n_unlisted, wrong, 0.01)
    refused, rows = (int(count.replace(",", "")) for count in re.match(r"([\d,]+) of ([\d,]+) rows? ", said).groups())
    assert (refused, rows) == (max(n_unlisted, len(wrong)), n_rows)
    assert f"First: row {first:,}, {reasons[0]}" in said
    assert ".." not in f"{said}. See x.html." and not said.endswith(".")
    if not n_unlisted:
        counts = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+) × ", said)]
        assert sum(counts) <= len(wrong) and (len(set(reasons)) > 3 or sum(counts) == len(wrong))
