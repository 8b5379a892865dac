from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.ratings import Scale
from mfcore.errors import Ambiguous, UsageError
from mfcore.models import Factors
from mfcore.models.lists import Likeness, similar_items, top_n
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems
from mfcore.serving.titles import find_item
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
    monkeypatch.setattr("mfcore.models.lists.BLOCK_ROWS", 3)
    in_blocks, _ = top_n(factors, everybody, 5)
    assert np.array_equal(whole, in_blocks)


def test_similar_items_by_cosine() -> None:
    items = [[1, 0], [2, 0.1], [0, 3], [-1, 0], [0, 0]]
    factors = factors_of(np.zeros((1, 2)), np.array(items))
    others, cosines = similar_items(Likeness.of(factors), np.arange(5, dtype=np.int32), 4)
    assert others[0].tolist() == [1, 2, 3, -1]
    assert cosines[0, :3] == pytest.approx([2 / np.hypot(2, 0.1), 0, -1], abs=1e-6)
    assert np.isnan(cosines[0, 3])
    assert (others[4] == -1).all() and np.isnan(cosines[4]).all(), "an item without factors is similar to none"
    assert not (others == 4).any()
    unknown, _ = similar_items(Likeness.of(factors), np.array([-1], np.int32), 2)
    assert (unknown == -1).all()


def test_similar_items_without_any_factors() -> None:
    factors = factors_of(np.zeros((2, 0)), np.zeros((3, 0)))
    others, cosines = similar_items(Likeness.of(factors), np.arange(3, dtype=np.int32), 2)
    assert (others == -1).all() and np.isnan(cosines).all()


TITLES = (
    "Toy Story (1995)",
    "Entertaining Angels: The Dorothy Day Story (1996)",
    "Heat (1995)",
    "Heat (1986)",
    "Matrix, The (1999)",
    "Iron Man (2008)",
    "Star Wars (1977)",
    "Star Trek: Generations (1994)",
    "Star Trek: First Contact (1996)",
    "Godfather, The (1972)",
    "Godfather: Part II, The (1974)",
    "Dumb & Dumber (1994)",
    "Rocky II (1979)",
    "Seven (Se7en) (1995)",
    "1984 (1984)",
    "L.A. Confidential (1997)",
    "Schindler's List (1993)",
    "Léon (1994)",
    "Haine, La (1995)",
    "That Darn Cat! (1997)",
    "That Darn Cat! (1997)",
    "That Darn Cat! (1965)",
    "Shawshank Redemption, The (1994)",
    "M (1931)",
    "The The (2001)",
    "42",
)
"""Item ids are 100 and up; the later, the more often an item is rated."""


@pytest.fixture(scope="module")
def films() -> Model:
    n = len(TITLES)
    factors = factors_of(np.zeros((1, 1)), np.ones((n, 1)))
    factors = replace(factors, item_ids=100 + np.arange(n))
    rated = RatedItems(starts=np.zeros(2, np.int64), items=np.empty(0, np.int32))
    return Model(factors, np.array(TITLES, object), rated, n_ratings=np.arange(1, n + 1))


@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        ("toy story", "Toy Story (1995)"),
        ("TOY STORY 1995", "Toy Story (1995)"),
        ("toy story (1995)", "Toy Story (1995)"),
        ("heat 1986", "Heat (1986)"),
        ("the matrix", "Matrix, The (1999)"),
        ("Matrix, The", "Matrix, The (1999)"),
        ("matrix", "Matrix, The (1999)"),
        ("godfather", "Godfather, The (1972)"),
        ("the godfather part 2", "Godfather: Part II, The (1974)"),
        ("dumb and dumber", "Dumb & Dumber (1994)"),
        ("rocky 2", "Rocky II (1979)"),
        ("seven", "Seven (Se7en) (1995)"),
        ("se7en", "Seven (Se7en) (1995)"),
        ("1984", "1984 (1984)"),
        ("la confidential", "L.A. Confidential (1997)"),
        ("schindlers list", "Schindler's List (1993)"),
        ("leon", "Léon (1994)"),
        ("la haine", "Haine, La (1995)"),
        ("that darn cat 1965", "That Darn Cat! (1965)"),
        ("m", "M (1931)"),
        ("the the", "The The (2001)"),
        ("125", "42"),
        ("42", "42"),
    ],
)
def test_a_title_wins_whatever_its_case_articles_and_punctuation(films: Model, wanted: str, title: str) -> None:
    found = find_item(films, wanted)
    assert found.is_exact and found.title == title == films.title(found.item_id)


@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        ("Star Wras", "Star Wars (1977)"),
        ("Godfathr, The", "Godfather, The (1972)"),
        ("iorn man", "Iron Man (2008)"),
        ("star wars 1978", "Star Wars (1977)"),
        ("stra wars 1977", "Star Wars (1977)"),
        ("shawshank", "Shawshank Redemption, The (1994)"),
        ("star trek 1994", "Star Trek: Generations (1994)"),
        ("haine", "Haine, La (1995)"),
    ],
)
def test_a_clear_near_miss_is_taken_and_is_known_as_one(films: Model, wanted: str, title: str) -> None:
    found = find_item(films, wanted)
    assert not found.is_exact and found.title == title


@pytest.mark.parametrize(
    ("wanted", "titles"),
    [
        ("Star Trek", ["Star Trek: First Contact (1996)", "Star Trek: Generations (1994)"]),
        ("heat", ["Heat (1986)", "Heat (1995)"]),
        ("heta", ["Heat (1986)", "Heat (1995)"]),
        ("heat 1950", ["Heat (1986)", "Heat (1995)"]),
        ("that darn cat 1997", ["That Darn Cat! (1997)", "That Darn Cat! (1997)"]),
        ("story", ["Entertaining Angels: The Dorothy Day Story (1996)", "Toy Story (1995)"]),
    ],
)
def test_of_several_none_is_chosen_and_all_are_shown(films: Model, wanted: str, titles: list[str]) -> None:
    with pytest.raises(Ambiguous, match=f"{len(titles)} items have .*{wanted}.*by its id") as caught:
        find_item(films, wanted)
    assert [row["title"] for row in caught.value.candidates] == titles
    for row in caught.value.candidates:
        assert find_item(films, str(row["item_id"])).item_id == row["item_id"]
        assert films.n_ratings[row["item_id"] - 100] == row["n_ratings"]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("rocky 4", "Rocky II"),
        ("toy story 2", "Toy Story"),
        ("terminator", ""),
        ("zzzzzz", ""),
        ("99", ""),
        ("  ", ""),
        ("!?", ""),
        ("(1995)", ""),
    ],
)
def test_what_is_near_nothing_is_refused(films: Model, wanted: str, named: str) -> None:
    with pytest.raises(UsageError, match=f"no item has the id or title .*{named}") as caught:
        find_item(films, wanted)
    assert type(caught.value) is UsageError


def test_of_very_many_the_most_rated_are_shown(films: Model) -> None:
    n = 57
    many = replace(
        films,
        factors=replace(factors_of(np.zeros((1, 1)), np.ones((n, 1))), item_ids=np.arange(n)),
        titles=np.array(["Hamlet"] * 36 + [f"Hamlet {number}" for number in range(21)], object),
        n_ratings=np.arange(n),
    )
    with pytest.raises(Ambiguous, match="36 items have the title 'hamlet'; name") as same:
        find_item(many, "hamlet")
    assert len(same.value.candidates) == 36
    with pytest.raises(Ambiguous, match="57 items have a title like 'hamle', of which these 40") as near:
        find_item(replace(many, titles=np.array([f"Hamle w{code}" for code in range(n)], object)), "hamle")
    assert [row["n_ratings"] for row in near.value.candidates] == list(range(56, 16, -1))
