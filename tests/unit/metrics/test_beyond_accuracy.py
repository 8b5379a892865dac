import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics.pairwise import cosine_distances

from mfcore.metrics import Bootstrap
from mfcore.metrics.beyond_accuracy import Profiles, coverage, gini
from tests.contract.synthetic import make
from tests.unit.metrics.cases import random_ratings

lists = arrays.arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(0, 7))


@given(lists)
def test_gini_is_half_the_relative_mean_difference(items: np.ndarray) -> None:
    shown = np.bincount(items.ravel(), minlength=8).astype(float)
    differences = np.abs(shown[:, None] - shown).sum() / (8 * 7)
    assert gini(items, 8) == pytest.approx(differences / (2 * shown.mean()))


@given(lists)
def test_coverage_counts_what_is_in_any_list(items: np.ndarray) -> None:
    assert coverage(items, 8) == len(set(items.ravel().tolist())) / 8


def test_empty_places_count_for_nothing() -> None:
    items = np.array([[0, 1], [1, -1]], np.int32)
    assert (coverage(items, 4), coverage(np.full((2, 2), -1, np.int32), 4)) == (0.5, 0)
    assert np.isnan(gini(np.full((2, 2), -1, np.int32), 4))
    assert np.isnan(gini(items[:1, :1], 1))


@pytest.mark.parametrize("seed", range(4))
def test_diversity_agrees_with_sklearn(seed: int) -> None:
    ratings, _ = random_ratings((70, 20), seed, density=0.3)
    rated = np.zeros((20, 70))
    rated[ratings.items, ratings.users] = 1
    distances = cosine_distances(rated)
    items = np.array([np.random.default_rng(n).permutation(20)[:6] for n in range(30)], np.int32)
    items[3, 4:] = -1
    expected = []
    for row in items:
        own = row[row >= 0]
        expected.append(distances[np.ix_(own, own)][np.triu_indices(len(own), 1)].mean())
    assert Profiles.of(ratings).diversity(items) == pytest.approx(np.array(expected))


def test_by_hand() -> None:
    """Of four users, all rated item 0, two item 1 and nobody item 2; user 3 rated 0 alone."""
    train = make([0, 1, 2, 3, 0, 1], [0, 0, 0, 0, 1, 1], np.full(6, 3), (4, 3))
    profiles = Profiles.of(train)
    items = np.array([[0, 1], [1, 2], [2, -1], [-1, -1]], np.int32)
    assert profiles.novelty(items)[:3].tolist() == [0.5, 1.5, 2]  # bits: 0, 1 and, as if one user had rated it, 2
    assert profiles.diversity(items)[:2] == pytest.approx([1 - 2 / np.sqrt(8), 1])
    assert np.isnan(profiles.diversity(items)[2:]).all()
    assert profiles.list_popularity(items)[:3].tolist() == [0.75, 0.25, 0]
    assert np.isnan(profiles.novelty(items)[3]) and np.isnan(profiles.list_popularity(items)[3])

    users = np.array([0, 3], np.int32)
    found = profiles.statistics(users, items[[0, 1]], 2, np.ones(2, bool), "nothing")
    values = {name: one.value for name, one in zip(found, Bootstrap(2).estimate(found.values()), strict=True)}
    assert values["novelty_at_2"] == pytest.approx(1.0)
    assert values["popularity_lift_at_2"] == pytest.approx((0.75 + 0.25) / (0.75 + 1) - 1)


def test_a_list_of_one_item_has_no_diversity_and_says_why() -> None:
    train = make([0, 1], [0, 1], [3, 3], (2, 2))
    found = Profiles.of(train).statistics(
        np.array([0], np.int32), np.zeros((1, 1), np.int32), 1, np.ones(1, bool), "nothing"
    )
    (one,) = Bootstrap(1).estimate([found["diversity_at_1"]])
    assert np.isnan(one.value)
    assert one.unknown == "a list of one item has no pair"


def test_many_raters_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, _ = random_ratings((4000, 12), 0, density=0.5)
    items = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.int32)
    exact = Profiles.of(ratings).diversity(items)
    monkeypatch.setattr("mfcore.metrics.beyond_accuracy._RATERS", 1000)
    sampled = Profiles.of(ratings)
    assert sampled.raters.shape == (12, 16)
    assert sampled.diversity(items) == pytest.approx(exact, abs=0.05)
    assert np.array_equal(sampled.raters, Profiles.of(ratings).raters)
