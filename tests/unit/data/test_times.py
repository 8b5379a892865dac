"""Times in other units or notations are the same moments, or are refused; never moments of 1970."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.times import EARLIEST, UNKNOWN, Times, as_seconds
from mfcore.errors import DataInvalid

moments = st.integers(631_152_000, 1_893_456_000)  # 1990 to 2029
TWO_YEARS = 63_072_000
EXACT = {
    "seconds": lambda s: s,
    "milliseconds": lambda s: s * 1_000 + 250,
    "microseconds": lambda s: s * 1_000_000 + 999_999,
    "nanoseconds": lambda s: (s + TWO_YEARS) * 1_000_000_000,  # from 1992: before, they may be ticks of .NET
    "file times of Windows": lambda s: (s + 11_644_473_600) * 10_000_000,
    "ticks of .NET": lambda s: (s + 62_135_596_800) * 10_000_000,
}


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def finished(*batches: list[object], order: str | None = None) -> tuple[list[object], Times]:
    times = Times(order)  # type: ignore[arg-type]
    for batch in batches:
        times.add(pa.array(batch))
    return pd.Series(times.finish()).tolist(), times


@pytest.mark.parametrize("unit", EXACT)
@given(seconds=st.lists(moments, min_size=1, max_size=20))
@settings(max_examples=50)
def test_any_unit_gives_the_same_seconds(unit, seconds):
    found, times = finished([str(EXACT[unit](one)) for one in seconds])
    assert found == [one + TWO_YEARS * (unit == "nanoseconds") for one in seconds]
    assert times.notes == ([] if unit == "seconds" else [f"timestamp: read as {unit}"])
    assert times.unread.count == 0


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from(["%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S"]))
def test_dates_in_digits_are_dates(seconds, form):
    found, _ = finished([utc(one).strftime(form) for one in seconds])
    unit = {"%Y%m%d": 86_400, "%Y%m%d%H%M": 60, "%Y%m%d%H%M%S": 1}[form]
    assert found == [one // unit * unit for one in seconds]


@given(st.lists(st.integers(1_990, 2_026), min_size=1))
def test_years_begin_in_january(years):
    found, times = finished(years)
    assert found == [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in years]
    assert times.notes == ["timestamp: read as years"]


@given(st.lists(moments, min_size=1, max_size=20))
def test_days_of_excel_count_from_1900(seconds):
    first = datetime(1899, 12, 30, tzinfo=UTC)
    found, _ = finished([(utc(one) - first) / timedelta(days=1) for one in seconds])
    assert found == seconds


FORMS = {
    "%Y-%m-%d %H:%M:%S UTC": 1,
    "%Y-%m-%dT%H:%M:%SZ": 1,
    "%Y/%m/%d %H:%M": 60,
    "%d.%m.%Y": 86_400,
    "%d.%m.%Y %H:%M:%S": 1,
    "%d %B %Y": 86_400,
    "%b %d, %Y": 86_400,
    "%a, %d %b %Y %H:%M:%S GMT": 1,
}


@pytest.mark.parametrize("form", FORMS)
@given(seconds=st.lists(moments, min_size=1, max_size=10))
@settings(max_examples=20)
def test_dates_in_words_and_digits_are_the_same_moments(form, seconds):
    found, times = finished([utc(one).strftime(form) for one in seconds])
    assert found == [one // FORMS[form] * FORMS[form] for one in seconds]
    assert times.unread.count == 0


@given(st.lists(moments, min_size=1, max_size=10), st.booleans())
@settings(max_examples=30)
def test_what_comes_first_is_told_by_a_day_beyond_12_or_asked_for(seconds, day_first):
    form, order = ("%d/%m/%Y", "day-month") if day_first else ("%m/%d/%Y", "month-day")
    texts = [utc(one).strftime(form) for one in seconds]
    expected = [one // 86_400 * 86_400 for one in seconds]
    assert finished(texts, order=order)[0] == expected
    if any(utc(one).day > 12 for one in seconds):
        assert finished(texts)[0] == expected
    else:
        with pytest.raises(DataInvalid, match=r"dataset.date_order"):
            finished(texts)


@given(st.lists(st.sampled_from(["0", "-1", ""]), min_size=1), st.lists(moments, max_size=10))
def test_what_stands_for_not_known_is_missing_and_counted(markers, seconds):
    found, times = finished([*markers, *map(str, seconds)])
    assert all(pd.isna(one) for one in found[: len(markers)])
    assert found[len(markers) :] == seconds
    n = sum(one != "" for one in markers)
    assert times.notes == ([f"timestamp: {n:,} of {len(found):,} not known (0 or -1)"] if n else [])


@given(
    st.lists(
        st.one_of(
            st.integers(1, 1_899), st.integers(80_000, 19_000_100), st.integers(21_001_232, EARLIEST - 1)
        ),  # counts, days, hours and minutes since 1970
        min_size=1,
    )
)
def test_numbers_of_no_unit_stay_what_the_checks_refuse(numbers):
    found, times = finished(numbers)
    assert found == numbers
    assert all(one < EARLIEST for one in found)
    assert times.notes == []


def test_one_number_of_another_unit_does_not_change_the_others():
    seconds = [1_500_000_000 + one for one in range(9)]
    found, _ = finished([*map(str, seconds), "1500000000123"])
    assert found == [*seconds, 1_500_000_000_123]


def test_batches_of_several_kinds_make_one_column():
    found, times = finished(["1500000000", "soon"], ["2017-07-14T02:40:01Z"], ["14.07.2017 02:40:02"])
    assert found[0] == 1_500_000_000
    assert pd.isna(found[1])
    assert found[2:] == [1_500_000_001, 1_500_000_002]
    assert times.unread.texts == {1: "soon"}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Tokyo"])
@given(seconds=st.lists(st.one_of(moments, st.none()), min_size=1, max_size=9))
@settings(max_examples=20)
def test_moments_of_any_resolution_are_seconds(unit, zone, seconds):
    column = pd.Series(pd.to_datetime(seconds, unit="s", utc=True)).dt.as_unit(unit)
    column = column.dt.tz_localize(None) if zone is None else column.dt.tz_convert(zone)
    found = as_seconds(column)
    if all(one is None for one in seconds):
        assert found is None
    else:
        assert found is not None
        assert found.dtype == np.int64
        assert found.tolist() == [UNKNOWN if one is None else one for one in seconds]
