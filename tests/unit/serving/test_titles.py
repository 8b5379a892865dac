import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.ratings import Scale
from mfcore.models import Factors
from mfcore.models.lists import similar_items, top_n
from mfcore.models.rated import RatedItems
from mfcore.serving.titles import find_titles
from tests.contract.synthetic import make


def factors_of(users: np.ndarray, items: np.ndarray, item_bias: np.ndarray | None = None) -> Factors:
    users, items = np.asarray(users, np.float32), np.asarray(items, np.float32)
    bias = np.zeros(len(items)) if item_bias is None else item_bias
    return Factors(
        3.0,
        np.zeros(len(users), np.float32),
        np.asarray(bias, np.float32),
        users,
        items,
        np.arange(len(users)),
        np.arange(len(items)),
        Scale(1, 5, 1),
    )


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 15), st.integers(1, 20))
def test_top_n_is_the_sorted_list_of_unseen_items(seed: int, n_users: int, n_items: int, k: int) -> None:
    """Small whole numbers as factors make many ties."""
    random = np.random.default_rng(seed)
    factors = factors_of(random.integers(-1, 2, (n_users, 2)), random.integers(-1, 2, (n_items, 2)))
    where = random.random((n_users, n_items)) < 0.3
    seen = make(*np.nonzero(where), np.ones(where.sum()), where.shape)
    asked = random.integers(-1, n_users, 7).astype(np.int32)
    items, scores = top_n(factors, asked, k, RatedItems.of(seen))
    assert items.dtype == np.int32 and scores.dtype == np.float32
    for row, user in enumerate(asked):
        all_scores = factors.scores(np.array([user], np.int32))[0]
        left = [item for item in range(n_items) if user < 0 or not where[user, item]]
        best = sorted(left, key=lambda item: (-all_scores[item], item))[:k]
        assert items[row].tolist() == best + [-1] * (k - len(best))
        assert scores[row, : len(best)].tolist() == all_scores[best].tolist()
        assert np.isnan(scores[row, len(best) :]).all()


def test_lists_don_t_depend_on_who_else_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    factors = factors_of(random.normal(size=(50, 8)), random.normal(size=(40, 8)))
    everybody = np.arange(50, dtype=np.int32)
    whole, _ = top_n(factors, everybody, 5)
    monkeypatch.setattr("mfcore.models.lists._CHUNK_BYTES", 4 * 40 * 3)
    chunked, _ = top_n(factors, everybody, 5)
    assert np.array_equal(whole, chunked)


def test_similar_items_by_cosine() -> None:
    items = [[1, 0], [2, 0.1], [0, 3], [-1, 0], [0, 0]]
    factors = factors_of(np.zeros((1, 2)), np.array(items))
    others, cosines = similar_items(factors, np.arange(5, dtype=np.int32), 4)
    assert others[0].tolist() == [1, 2, 3, -1]
    assert cosines[0, :3] == pytest.approx([2 / np.hypot(2, 0.1), 0, -1], abs=1e-6)
    assert np.isnan(cosines[0, 3])
    assert (others[4] == -1).all() and np.isnan(cosines[4]).all(), "an item without factors is similar to none"
    assert not (others == 4).any()
    unknown, _ = similar_items(factors, np.array([-1], np.int32), 2)
    assert (unknown == -1).all()


def test_similar_items_without_any_factors() -> None:
    factors = factors_of(np.zeros((2, 0)), np.zeros((3, 0)))
    others, cosines = similar_items(factors, np.arange(3, dtype=np.int32), 2)
    assert (others == -1).all() and np.isnan(cosines).all()


FILMS = pd.DataFrame(
    {
        "item_id": [1, 2, 3, 4, 5, 6, 7],
        "title": [
            "Toy Story (1995)",
            "Toy Story 2 (1999)",
            "Heat (1995)",
            "Heat (1986)",
            "Matrix, The (1999)",
            "Iron Man (2008)",
            None,
        ],
    }
)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Toy Story", 1),
        ("toy story 2", 2),
        ("Heat (1986)", 4),
        ("heat (1995)", 3),
        ("the matrix", 5),
        ("Matrix, The", 5),
        ("iorn man", 6),
    ],
)
def test_titles_are_found_as_people_type_them(query: str, first: int) -> None:
    assert find_titles(FILMS, query)["item_id"].iloc[0] == first


def test_all_matches_are_listed_and_nonsense_finds_none() -> None:
    assert {3, 4} <= set(find_titles(FILMS, "Heat")["item_id"])
    assert len(find_titles(FILMS, "Toy Story", limit=1)) == 1
    assert find_titles(FILMS, "zzzzzz").empty
    assert find_titles(FILMS, "  ").empty
