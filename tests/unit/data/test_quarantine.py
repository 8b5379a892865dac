import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mfcore.data.quarantine import PAIR, repeated

ids = st.one_of(st.integers(-3, 3), st.sampled_from([2**62, -(2**62)]))


@given(st.lists(st.tuples(ids, ids), max_size=30), st.booleans())
def test_repeated_rows_are_those_that_pandas_calls_duplicated(pairs, as_text):
    frame = pd.DataFrame(pairs, columns=PAIR, index=range(5, len(pairs) + 5), dtype="int64")
    if as_text:
        frame = frame.assign(user_id=pd.Series([str(one) for one in frame["user_id"]], frame.index, dtype=object))
    assert repeated(frame).index.tolist() == frame.index[frame.duplicated(PAIR, keep=False)].tolist()
