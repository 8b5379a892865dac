import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import Split, split
from mfcore.data.synthetic import synthesize
from mfcore.errors import UsageError


@st.composite
def some_ratings(draw: st.DrawFn) -> Ratings:
    """A few ratings with many ties in time, users of every size, and gaps in codes."""
    n = draw(st.integers(30, 200))
    users = draw(st.lists(st.integers(0, draw(st.integers(0, 12))), min_size=n, max_size=n))
    times = draw(st.lists(st.integers(0, draw(st.integers(2, 1000))), min_size=n, max_size=n))
    frame = pd.DataFrame({"user_id": users, "item_id": range(n), "rating": 3.0, "timestamp": times})
    return Ratings.from_frame(frame, Scale(1, 5, 1))


def parts_of(ratings: Ratings, config: SplitConfig) -> Split | None:
    try:
        return split(ratings, config)
    except UsageError:
        return None


@given(
    some_ratings(),
    st.sampled_from(["random", "k-fold", "leave-k-out", "share", "time"]),
    st.integers(1, 4),
    st.integers(0, 3),
)
@settings(max_examples=150)
def test_parts_are_disjoint_complete_sorted_and_deterministic(ratings, method, k, seed):
    own = {"k-fold": {"n_folds": k + 1, "fold": k}, "leave-k-out": {"leave_k": k}}.get(method, {})
    config = SplitConfig(method=method, seed=seed, **own)
    parts = parts_of(ratings, config)
    if parts is None:
        return
    rows = np.concatenate([parts.train, parts.validation, parts.test])
    assert np.array_equal(np.sort(rows), np.arange(len(ratings)))
    again = split(ratings, config)
    for part in ("train", "validation", "test"):
        array = getattr(parts, part)
        assert array.dtype == np.int64
        assert (np.diff(array) > 0).all()
        assert np.array_equal(array, getattr(again, part))


@given(some_ratings(), st.floats(0.01, 0.49), st.floats(0.01, 0.49))
@settings(max_examples=150)
def test_a_split_by_time_lets_nothing_of_the_future_into_an_earlier_part(ratings, validation, test):
    parts = parts_of(ratings, SplitConfig(method="time", validation=validation, test=test))
    if parts is None:
        return
    assert ratings.times[parts.train].max() < ratings.times[parts.validation].min()
    assert ratings.times[parts.validation].max() < ratings.times[parts.test].min()


@given(some_ratings(), st.integers(1, 5), st.integers(0, 5))
@settings(max_examples=150)
def test_leave_k_out_takes_k_of_each_user_who_has_enough(ratings, k, seed):
    parts = parts_of(ratings, SplitConfig(method="leave-k-out", leave_k=k, seed=seed))
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    enough = counts > 2 * k
    if parts is None:
        assert not enough.any()
        return
    for rows in (parts.validation, parts.test):
        assert np.array_equal(np.bincount(ratings.users[rows], minlength=len(counts)), np.where(enough, k, 0))
    assert sum(parts.dropped.values()) == (~enough).sum()


@given(some_ratings(), st.integers(2, 7), st.integers(0, 5))
@settings(max_examples=60)
def test_folds_have_nothing_in_common_hold_everything_and_are_of_one_size(ratings, n_folds, seed):
    configs = [SplitConfig(method="k-fold", n_folds=n_folds, fold=fold, seed=seed) for fold in range(n_folds)]
    tests = [split(ratings, config).test for config in configs]
    assert np.array_equal(np.sort(np.concatenate(tests)), np.arange(len(ratings)))
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= 1


@given(some_ratings(), st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 5))
@settings(max_examples=150)
def test_a_share_of_each_user_is_held_out_and_something_is_left(ratings, validation, test, seed):
    parts = parts_of(ratings, SplitConfig(method="share", validation=validation, test=test, seed=seed))
    if parts is None:
        return
    counts, *held = (
        np.bincount(rows, minlength=ratings.n_users)
        for rows in (ratings.users, ratings.users[parts.validation], ratings.users[parts.test])
    )
    assert (held[0] + held[1] < counts).all()
    whole = (held[0] + held[1]) == 0
    assert sum(parts.dropped.values()) == whole.sum()
    for share, found in zip((validation, test), held, strict=True):
        assert (np.abs(found - share * counts)[~whole] <= 0.5 + 1e-9).all()


def test_random_shares_are_exact_and_another_seed_gives_other_parts():
    ratings = Ratings.from_frame(synthesize(50, 40, 1000).frame, Scale(1, 5, 1))
    first = split(ratings, SplitConfig(validation=0.15, test=0.25))
    assert (len(first.train), len(first.validation), len(first.test)) == (600, 150, 250)
    second = split(ratings, SplitConfig(validation=0.15, test=0.25, seed=1))
    assert not np.array_equal(first.test, second.test)
    # Drawn evenly: the mean row of test is that of all rows, within 4 standard errors.
    assert abs(first.test.mean() - 499.5) < 4 * 1000 / np.sqrt(12 * 250)


def test_a_split_by_time_cuts_where_the_shares_say():
    frame = pd.DataFrame({"user_id": 1, "item_id": range(100), "rating": 1.0, "timestamp": range(100)})
    ratings = Ratings.from_frame(frame.sample(frac=1, random_state=0), Scale(1, 5, 1))
    parts = split(ratings, SplitConfig(method="time", validation=0.2, test=0.1))
    assert sorted(ratings.times[parts.validation]) == list(range(70, 90))
    assert sorted(ratings.times[parts.test]) == list(range(90, 100))


def test_a_split_by_time_can_be_told_when_to_cut():
    frame = pd.DataFrame({"user_id": 1, "item_id": range(10), "rating": 1.0, "timestamp": np.arange(10) * 86_400})
    config = SplitConfig(method="time", validation_from="1970-01-04", test_from="1970-01-08T01:00:00+01:00")
    parts = split(Ratings.from_frame(frame, Scale(1, 5, 1)), config)
    assert parts.validation.tolist() == [3, 4, 5, 6]
    assert parts.test.tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"fold": 5}, "fold 5 is none of 5 folds"),
        ({"test_from": "2020-01-01"}, "need each other"),
        ({"validation_from": "2020-01-02", "test_from": "2020-01-01"}, "must be before"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        SplitConfig(**config)


def test_a_split_by_time_needs_times():
    frame = synthesize(10, 10, 60).frame.drop(columns="timestamp")
    with pytest.raises(UsageError, match="needs times"):
        split(Ratings.from_frame(frame, Scale(1, 5, 1)), SplitConfig(method="time"))


@pytest.mark.parametrize("method", ["random", "k-fold", "share", "time", "leave-k-out"])
def test_an_empty_part_is_refused_by_name(method):
    frame = pd.DataFrame({"user_id": 1, "item_id": range(4), "rating": 1.0, "timestamp": 5})
    with pytest.raises(UsageError, match=r"leaves (train|validation) empty"):
        split(Ratings.from_frame(frame, Scale(1, 5, 1)), SplitConfig(method=method))


def test_saved_and_loaded_parts_are_the_same(tmp_path):
    ratings = Ratings.from_frame(synthesize(60, 40, 600).frame, Scale(1, 5, 1))
    parts = split(ratings, SplitConfig(method="leave-k-out"))
    assert parts.dropped
    parts.save(tmp_path / "split")
    loaded = Split.load(tmp_path / "split")
    assert loaded.dropped == parts.dropped
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(loaded, part), getattr(parts, part))


@pytest.mark.parametrize(
    "settings",
    [
        {"test_from": "2020-02-01", "validation_from": "2020-01-01"},
        {"method": "time", "leave_k": 3},
        {"method": "leave-k-out", "fold": 1},
    ],
)
def test_a_setting_that_the_method_does_not_look_at_is_refused(settings):
    with pytest.raises(ValueError, match=r"does nothing in a [a-z-]+ split: it needs method ="):
        SplitConfig(**settings)
