import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score

from mfcore.data.ratings import Scale
from mfcore.metrics.similar import genre_overlap, genres_of, list_overlap, rare_share, similar_metrics
from mfcore.models import ALS, PMF, Blend, Factors
from mfcore.models.lists import Likeness, similar_items
from tests.contract.synthetic import make


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


def test_lists_overlap_in_any_order() -> None:
    assert list_overlap(np.array([[1, 2], [3, -1]]), np.array([[2, 1], [4, -1]])) == 0.5
    assert np.isnan(list_overlap(np.full((1, 2), -1), np.full((1, 2), -1)))


def test_of_well_known_items_those_neighbors_count_that_are_shown() -> None:
    counts = np.array([250, 220, 210, 3, 199])
    train = make(
        np.concatenate([np.arange(n) for n in counts]),
        np.repeat(np.arange(5), counts),
        np.full(counts.sum(), 3),
        (250, 5),
    )
    genres = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0]], bool)
    near = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 0], [0.8, 0.1]], np.float32)
    far = near[[0, 2, 1, 3, 4]]
    one, other = (with_items(items) for items in (near, far))
    items = np.array([0, 1, 2], np.int32)
    shown, also = (similar_items(Likeness.of(factors, counts), items, 2)[0] for factors in (one, other))
    found = similar_metrics(one, other, train, genres, k=2)
    assert found == {
        "similar_genre_overlap": pytest.approx(genre_overlap(items, shown, genres)),
        "similar_rare_share": rare_share(shown, train),
        "similar_stability": list_overlap(shown, also),
    }
    assert 0 < found["similar_stability"] < 1
    assert similar_metrics(one, one, train, None, k=2)["similar_stability"] == 1
    assert "similar_genre_overlap" not in similar_metrics(one, one, train, None)


def test_another_seed_is_another_seed_of_every_member() -> None:
    blend = Blend(members=(ALS(n_factors=2, seed=3), PMF(n_factors=2))).reseeded(7)
    assert [blend.seed, *(one.seed for one in blend.members)] == [7, 7, 7]
    assert ALS(n_factors=2).reseeded(1) == ALS(n_factors=2, seed=1)


def with_items(items: NDArray[np.float32]) -> Factors:
    zero = np.zeros(250, np.float32)
    users = np.zeros((250, items.shape[1]), np.float32)
    codes = np.arange(250), np.arange(len(items))
    return Factors(3.0, zero, zero[: len(items)], users, items, *codes, Scale(1, 5, 1))
