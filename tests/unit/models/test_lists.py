"""Lists: the same with and without numba, and filters that leave out what they say."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS, BPMF, lists
from mfcore.models.blend import combined
from mfcore.models.factors import Factors
from mfcore.models.lists import Likeness, similar_items, top_items
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems
from tests.contract.synthetic import synthetic_ratings
from tests.unit.metrics.cases import random_factors


@pytest.fixture(scope="module")
def model() -> Model:
    ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    factors = random_factors((ratings.n_users, ratings.n_items), 1)
    return Model.of(replace(factors, user_ids=ratings.user_ids, item_ids=ratings.item_ids), ratings, None)


@given(
    bias=arrays(np.float32, 12, elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    allowed=arrays(np.bool_, 12),
    k=st.integers(1, 15),
)
def test_lists_are_the_same_without_numba_and_for_few(
    bias: NDArray[np.float32], allowed: NDArray[np.bool_], k: int
) -> None:
    some = random_factors((5, 12), 3)
    # Without factors, so that scores tie.
    factors = replace(some, item_bias=bias, item_factors=np.zeros_like(some.item_factors))
    users = np.resize(np.array([0, 4, -1], np.int32), 18)
    from mfcore.models.kernels import topk  # loaded, it is used from 17 rows on

    assert lists._kernel_for(18) is topk and lists._kernel_for(16) is None
    with_numba = top_items(factors, users, k, allowed=allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW_AT_FIRST", 0)
        patch.delitem(sys.modules, "mfcore.models.kernels.topk", raising=False)
        patch.setitem(sys.modules, "numba", None)
        without = top_items(factors, users, k, allowed=allowed)
    few = top_items(factors, users[:3], k, allowed=allowed)
    for of_all, others, of_few in zip(with_numba, without, few, strict=True):
        np.testing.assert_array_equal(of_all, others)
        np.testing.assert_array_equal(of_all[:3], of_few)


@pytest.mark.parametrize("block", [(1, 1), (3, 7), (64, 200)])
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 30), n_items=st.integers(1, 150))
@settings(max_examples=15)
def test_blocks_of_any_size_make_the_same_lists(block: tuple[int, int], seed: int, k: int, n_items: int) -> None:
    random = np.random.default_rng(seed)
    # Whole numbers make many ties; what users rated is in no order.
    factors = random_factors((20, n_items), 3)
    for rows in (factors.user_factors, factors.item_factors, factors.item_bias):
        rows[:] = random.integers(-2, 3, rows.shape)
    starts = np.append(0, np.cumsum(random.integers(0, n_items + 1, 20)))
    own = [random.permutation(n_items)[:n] for n in np.diff(starts)]
    rated = RatedItems(starts=starts, items=np.concatenate(own).astype(np.int32))
    users = np.arange(20, dtype=np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BLOCK_ROWS", block[0])
        patch.setattr(lists, "BLOCK_COLUMNS", block[1])
        items, scores = top_items(factors, users, k, rated)
    for user, own in enumerate(factors.scores(users)):
        left = np.setdiff1d(np.arange(n_items), rated.items[starts[user] : starts[user + 1]])
        expected = left[np.lexsort((left, -own[left]))][:k]
        n = len(expected)
        assert items[user].tolist() == [*expected, *[-1] * (k - n)]
        assert scores[user, :n].tolist() == own[expected].tolist() and np.isneginf(scores[user, n:]).all()


@pytest.mark.parametrize("user", ["known", "unknown"])
def test_filters_leave_out_what_they_say(model: Model, user: str) -> None:
    users = model.user_ids[:1] if user == "known" else np.array([10**6])
    everything = model.recommend(users, 10**9, exclude_rated=False)["item_id"].tolist()
    assert sorted(everything) == model.item_ids.tolist()
    without = model.recommend(users, 30, exclude_rated=False, exclude_items=np.array(everything[:3]))
    assert without["item_id"].tolist() == everything[3:]
    only = model.recommend(users, 30, exclude_rated=False, only_items=np.array([*everything[5:8], 10**6]))
    assert only["item_id"].tolist() == everything[5:8]
    often = np.sort(model.n_ratings)[15]
    popular = model.recommend(users, 30, exclude_rated=False, min_ratings=int(often))["item_id"].tolist()
    counts = dict(zip(model.item_ids.tolist(), model.n_ratings.tolist(), strict=True))
    assert popular == [item for item in everything if counts[item] >= often]


def test_rated_items_are_left_out_unless_asked_for(model: Model) -> None:
    rated = set(model.item_ids[model.rated.rows(np.array([0], np.int32))[1]].tolist())
    listed = set(model.recommend(model.user_ids[:1], 30)["item_id"].tolist())
    assert rated and not rated & listed and rated | listed == set(model.item_ids.tolist())


def test_similar_items_are_sklearns_nearest_by_the_cosine() -> None:
    factors = random_factors((10, 50), 3, k=6)
    items = np.arange(0, 50, 3, dtype=np.int32)
    model = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(factors.item_factors)
    expected = model.kneighbors(factors.item_factors[items], return_distance=False)[:, 1:]
    assert np.array_equal(similar_items(Likeness.of(factors), items, 5)[0], expected)


@pytest.fixture(scope="module")
def members() -> tuple[Factors, Factors, list[NDArray[np.float64]]]:
    """ALS and BPMF, and the cosines of the one's factors and of each draw's of the other."""
    ratings, _ = synthetic_ratings(n_users=60, n_items=40)
    als, bpmf = ALS(n_factors=3).train(ratings), BPMF(n_factors=2, n_epochs=30).train(ratings)
    # A draw's columns are its two factors and two that carry its biases.
    draws = np.split(bpmf.item_factors.astype(np.float64), bpmf.n_draws, axis=1)
    return als, bpmf, [cosine_similarity(als.item_factors), *(cosine_similarity(draw[:, :2]) for draw in draws)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_likeness_in_draws_and_blends_is_that_of_factors_alone_weighted(
    members: tuple[Factors, Factors, list[NDArray[np.float64]]], share: float
) -> None:
    als, bpmf, (of_als, *of_draws) = members
    assert len(of_draws) > 1
    whole = bpmf if share == 0 else combined([als, bpmf], np.array([share, 1 - share]) * 0.9, 3.0)
    expected = share * of_als + (1 - share) * np.mean(of_draws, axis=0)
    others, cosines = similar_items(Likeness.of(whole), np.arange(40, dtype=np.int32), 39)
    assert np.sort(others, axis=1).tolist() == [[other for other in range(40) if other != item] for item in range(40)]
    assert cosines == pytest.approx(np.take_along_axis(expected, others, axis=1), abs=1e-5)


def test_items_that_few_rated_are_no_neighbors_but_have_some() -> None:
    factors = random_factors((10, 30), 3, k=6)
    counts = np.arange(30, dtype=np.int64)
    items = np.arange(30, dtype=np.int32)
    assert set(similar_items(Likeness.of(factors, counts), items, 29)[0].ravel()) == {-1, *range(5, 30)}
    everything = similar_items(Likeness.of(factors, counts, 0), items, 29)[0]
    assert [sorted(row) for row in everything] == [[other for other in items if other != item] for item in items]
    some = similar_items(Likeness.of(factors, counts, 12), items, 29)[0]
    for one, all_of_it in zip(some, everything, strict=True):
        assert [item for item in one if item >= 0] == [item for item in all_of_it if item >= 12]


def test_items_without_factors_have_no_neighbors_and_are_none() -> None:
    factors = random_factors((4, 3), 0, k=2)
    factors.item_factors[:] = [[1, 0], [0, 0], [1, 1]]
    assert similar_items(Likeness.of(factors), np.array([0, 1], np.int32), 3)[0].tolist() == [[2, -1, -1], [-1, -1, -1]]
