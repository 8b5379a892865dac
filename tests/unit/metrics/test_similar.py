import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import jaccard_score
from sklearn.neighbors import NearestNeighbors

from mfcore.metrics.similar import genre_overlap, genres_of, list_overlap, nearest, rare_share, stability
from mfcore.models import ALS
from mfcore.models.lists import similar_items
from tests.contract.synthetic import make, synthetic_ratings


def test_genres_overlap_as_sklearns_jaccard_index_says() -> None:
    random = np.random.default_rng(0)
    genres = random.random((30, 6)) < 0.4
    items, neighbors = np.arange(10, dtype=np.int32), random.integers(0, 30, (10, 4)).astype(np.int32)
    pairs = [
        (a, b) for a, row in zip(items, neighbors, strict=True) for b in row if genres[a].any() and genres[b].any()
    ]
    expected = np.mean([jaccard_score(genres[a], genres[b]) for a, b in pairs])
    assert genre_overlap(items, neighbors, genres) == pytest.approx(expected)
    padded = np.column_stack([neighbors, np.full(10, -1, np.int32)])
    assert genre_overlap(items, padded, genres) == pytest.approx(expected)
    assert np.isnan(genre_overlap(items, neighbors, np.zeros((30, 6), bool)))


def test_genres_come_from_the_items_table() -> None:
    table = pd.DataFrame({"item_id": [8, 3, 5], "genres": ["Drama|War", "Drama", None]})
    found = genres_of(table, np.array([3, 5, 8]))
    assert found is not None
    assert found.tolist() == [[True, False], [False, False], [True, True]]
    assert genres_of(None, np.array([3])) is None


def test_rarely_rated_neighbors_are_counted() -> None:
    counts = [7, 4, 0, 5]
    items = np.repeat(np.arange(4), counts)
    train = make(np.concatenate([np.arange(n) for n in counts]), items, np.full(16, 3), (7, 4))
    neighbors = np.array([[1, 2, 3], [0, 3, -1]], np.int32)
    assert rare_share(neighbors, train) == pytest.approx(2 / 5)
    assert rare_share(neighbors, train, fewer_than=6) == pytest.approx(4 / 5)
    assert np.isnan(rare_share(np.full((2, 3), -1, np.int32), train))


def test_nearest_are_sklearns_and_those_that_are_shown() -> None:
    train, _ = synthetic_ratings(80, 50)
    factors = ALS(n_factors=6, n_epochs=4).train(train)
    items = np.arange(0, 50, 3, dtype=np.int32)
    model = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(factors.item_factors)
    expected = model.kneighbors(factors.item_factors[items], return_distance=False)[:, 1:]
    found = nearest(factors.item_factors, items, 5)
    assert np.array_equal(found, expected)
    assert np.array_equal(found, similar_items(factors, items, 5)[0])


def test_items_without_factors_have_no_neighbors() -> None:
    factors = np.array([[1, 0], [0, 0], [1, 1]], np.float32)
    assert nearest(factors, np.array([0, 1], np.int32), 3).tolist() == [[2, -1, -1], [-1, -1, -1]]


def test_lists_overlap_in_any_order() -> None:
    assert list_overlap(np.array([[1, 2], [3, -1]]), np.array([[2, 1], [4, -1]])) == 0.5
    assert np.isnan(list_overlap(np.full((1, 2), -1), np.full((1, 2), -1)))


def test_what_was_turned_stays_and_what_is_noise_does_not() -> None:
    random = np.random.default_rng(1)
    factors, items = random.normal(size=(200, 8)).astype(np.float32), np.arange(200, dtype=np.int32)
    turn = np.linalg.qr(random.normal(size=(8, 8)))[0].astype(np.float32)
    assert stability(factors, factors @ turn, items) > 0.999
    noise = random.normal(size=(200, 8)).astype(np.float32)
    assert stability(factors, noise, items) == pytest.approx(10 / 199, abs=0.02)
