"""Levers: each does what it says to lists, beside plain and slow versions of the same rules."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from mfcore.config import Levers
from mfcore.data.items import meeting
from mfcore.errors import UsageError
from mfcore.models import ALS, BPMF
from mfcore.models.factors import Factors
from mfcore.models.knn import ItemKNN
from mfcore.models.levers import ItemGroups, in_turns, ranked, thirds
from mfcore.models.lists import directions, top_n
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems
from tests.contract.synthetic import make, synthetic_ratings
from tests.unit.metrics.cases import SCALE, random_factors

N_USERS, N_ITEMS = 12, 30


def case(seed: int) -> tuple[Factors, RatedItems, ItemGroups, NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    factors = random_factors((N_USERS, N_ITEMS), seed)
    users, items = np.nonzero(random.random((N_USERS, N_ITEMS)) < 0.2)
    ratings = make(users, items, random.integers(1, 6, len(users)), (N_USERS, N_ITEMS), SCALE)
    groups = ItemGroups(
        random.integers(0, 200, N_ITEMS), random.random((N_ITEMS, 4)) < 0.4, directions(factors)
    )  # fmt: skip
    return factors, RatedItems.of(ratings), groups, random.random(N_ITEMS) < 0.9


def merged_by_hand(first: list[int], second: list[int], share: float, size: int) -> list[int]:
    places = [((n + 1) / (1 - share) if share < 1 else np.inf, 0, item) for n, item in enumerate(first)]
    places += [((n + 1) / share if share else np.inf, 1, item) for n, item in enumerate(second)]
    return list(dict.fromkeys(item for *_, item in sorted(places, key=lambda place: place[:2])))[:size]


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75, 1.0]))
def test_two_lists_take_turns_and_no_item_comes_twice(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    lists = np.full((2, 4, 8), -1, np.int32)
    for rows in lists:
        for row in rows:
            n = random.integers(0, 9)
            row[:n] = random.permutation(12)[:n]
    merged = in_turns(*lists, share)
    for first, second, row in zip(*lists, merged, strict=True):
        expected = merged_by_hand(first[first >= 0].tolist(), second[second >= 0].tolist(), share, 8)
        assert row.tolist() == expected + [-1] * (8 - len(expected))


def test_half_of_a_hybrid_is_each_models_and_other_levers_hold_for_both() -> None:
    factors, rated, groups, allowed = case(5)
    other = random_factors((N_USERS, N_ITEMS), 99)
    users = np.arange(N_USERS, dtype=np.int32)
    first, second = (top_n(one, users, 6, rated, allowed)[0] for one in (factors, other))
    items, scores = ranked(factors, users, 6, rated, allowed, Levers(knn_share=0.5), groups, other)
    for row, user in enumerate(users):
        assert items[row].tolist() == merged_by_hand(first[row].tolist(), second[row].tolist(), 0.5, 6)
        expected = factors.pair_scores(np.full(6, user, np.int32), items[row])
        assert scores[row] == pytest.approx(expected), "scores are the ranking head's"
    limited = Levers(knn_share=0.5, max_genre_share=0.34)
    items, _ = ranked(factors, users, 6, rated, allowed, limited, groups, other)
    for row in range(N_USERS):
        listed = items[row][items[row] >= 0]
        assert groups.genres[listed].sum(axis=0).max() <= 2
        assert not set(listed) & set(rated.rows(users[[row]])[1]) and allowed[listed].all()
    assert (items != ranked(factors, users, 6, rated, allowed, Levers(max_genre_share=0.34), groups)[0]).any()


def test_a_hybrid_needs_item_knn_and_keeps_it(tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    factors = ALS(n_factors=3, n_epochs=2).train(ratings)
    knn = ItemKNN.for_lists(ratings.scale).train(ratings)
    with pytest.raises(UsageError, match=r"does not keep: `mfcore register` with lists.knn_share"):
        Model.of(factors, ratings, None).recommend([1], levers=Levers(knn_share=0.5))
    model = Model.of(factors, ratings, None, neighbors=knn)
    model.save(tmp_path / "model")
    users = [*model.user_ids, "nobody"]
    again = Model.load(tmp_path / "model")
    hybrid, plain = (again.recommend(users, 5, levers=Levers(knn_share=share)) for share in (0.5, 0.0))
    assert hybrid.equals(model.recommend(users, 5, levers=Levers(knn_share=0.5)))
    assert plain.equals(Model.of(factors, ratings, None).recommend(users, 5))
    assert not hybrid["item_id"].equals(plain["item_id"])
    unknown = hybrid["user_id"] == "nobody"
    assert hybrid[unknown].equals(plain[unknown]), "the most popular items"
    new = model.fold_in({1: 5, 2: 4, 3: 1})
    alone = replace(new, ranking=new.neighbors, neighbors=None).recommend("new", 5)
    assert new.recommend("new", 5, levers=Levers(knn_share=1.0))["item_id"].tolist() == alone["item_id"].tolist()


def by_hand(
    user: int,
    k: int,
    factors: Factors,
    rated: RatedItems,
    allowed: NDArray[np.bool_],
    levers: Levers,
    groups: ItemGroups,
) -> list[int]:
    """The rules of `ranked`, an item at a time."""
    scores = factors.scores(np.array([user], np.int32))[0].astype(np.float64)
    known = np.log1p(groups.n_ratings)
    scores = scores - levers.popularity_penalty * scores.std() * known / known.max()
    left = [i for i in range(N_ITEMS) if allowed[i] and i not in set(rated.rows(np.array([user], np.int32))[1])]
    low, high = min(scores[left]), max(scores[left])
    limits = [(groups.genres, levers.max_genre_share), (thirds(groups.n_ratings), levers.max_popularity_share)]
    chosen: list[int] = []
    while len(chosen) < k:
        able = [
            i
            for i in left
            if i not in chosen
            and not any(
                share < 1 and member[i, g] and member[chosen, g].sum() >= max(1, int(share * k + 1e-9))
                for member, share in limits
                for g in range(member.shape[1])
            )
        ]
        if not able:
            break
        cosines = groups.unit.astype(np.float64) @ groups.unit.astype(np.float64).T
        chosen.append(
            max(
                able,
                key=lambda i: (
                    (1 - levers.diversity) * (scores[i] - low) / (high - low)
                    - levers.diversity * max([cosines[i, j] for j in chosen], default=-1.0)
                ),
            )
        )
    return chosen


@given(
    seed=st.integers(0, 50),
    k=st.integers(1, 12),
    diversity=st.sampled_from([0.0, 0.3, 0.8]),
    penalty=st.sampled_from([0.0, 0.5, 3.0]),
    genre=st.sampled_from([1.0, 0.5, 0.2]),
    popularity=st.sampled_from([1.0, 0.4]),
)
def test_lists_are_those_of_the_rules_an_item_at_a_time(
    seed: int, k: int, diversity: float, penalty: float, genre: float, popularity: float
) -> None:
    factors, rated, groups, allowed = case(seed)
    levers = Levers(
        diversity=diversity, popularity_penalty=penalty, max_genre_share=genre, max_popularity_share=popularity
    )
    users = np.array([0, 5], np.int32)
    items, scores = ranked(factors, users, k, rated, allowed, levers, groups)
    for row, user in enumerate(users):
        expected = by_hand(int(user), k, factors, rated, allowed, levers, groups)
        assert [item for item in items[row].tolist() if item >= 0] == expected
        head = factors.scores(users[row : row + 1])[0]
        assert scores[row, : len(expected)] == pytest.approx(head[expected], abs=1e-5), "scores stay the head's"
        assert np.isnan(scores[row, len(expected) :]).all()


def test_no_lever_is_the_plain_list_bit_by_bit() -> None:
    factors, rated, groups, allowed = case(3)
    users = np.array([4, -1, 0], np.int32)
    plain = top_n(factors, users, 9, rated, allowed)
    found = ranked(factors, users, 9, rated, allowed, Levers(), groups)
    assert np.array_equal(found[0], plain[0])
    assert found[1] == pytest.approx(plain[1], abs=1e-5)


def test_full_groups_are_passed_over_however_far_down_the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    factors, _, groups, _ = case(1)
    monkeypatch.setattr("mfcore.models.levers._POOL", 2)
    bias = np.linspace(100, 0, N_ITEMS).astype(np.float32)
    rest = np.zeros((N_ITEMS, 1), np.bool_)
    rest[:25] = True
    lists, _ = ranked(
        replace(factors, item_bias=bias), np.array([0], np.int32), 2, None, np.ones(N_ITEMS, np.bool_),
        Levers(max_genre_share=0.5), replace(groups, genres=rest),
    )  # fmt: skip
    assert lists.tolist() == [[0, 25]]
    one = replace(groups, genres=np.ones((N_ITEMS, 1), np.bool_))
    everybody = np.arange(N_USERS, dtype=np.int32)
    lists, _ = ranked(factors, everybody, 4, None, np.ones(N_ITEMS, np.bool_), Levers(max_genre_share=0.5), one)
    assert ((lists >= 0).sum(axis=1) == 2).all(), "shorter where nothing else is left"


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    factors, rated, groups, allowed = case(5)
    levers, everybody = Levers(diversity=0.4, max_genre_share=0.3), np.arange(N_USERS, dtype=np.int32)
    whole, _ = ranked(factors, everybody, 6, rated, allowed, levers, groups)
    monkeypatch.setattr("mfcore.models.levers._CHUNK_BYTES", 1)
    assert np.array_equal(whole, ranked(factors, everybody, 6, rated, allowed, levers, groups)[0])


@pytest.fixture(scope="module")
def model() -> Model:
    users, items = np.divmod(np.arange(40), 8)
    ratings = make(users, items, items % 5 + 1, (5, 8), SCALE)
    factors = replace(random_factors((5, 8), 0), user_ids=ratings.user_ids, item_ids=ratings.item_ids)
    table = pd.DataFrame(
        {
            "item_id": ratings.item_ids[::-1],
            "title": [f"Item {n}" for n in range(8)],
            "genres": ["Drama", "Drama|War", "War", "Comedy", "Comedy", None, "Drama", "Drama"],
            "year": [1990, 1991, 1992, 1993, 1994, 1995, None, 1997],
        }
    )
    return Model.of(factors, ratings, table)


def test_conditions_are_on_the_columns_of_the_items_and_are_kept_with_the_model(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    for one in (model, Model.load(tmp_path)):
        for where, titles in (
            (("genres has Drama",), {0, 1, 6, 7}),
            (("genres lacks Drama", "year >= 1993"), {3, 4, 5}),
            (("year != 1990",), {1, 2, 3, 4, 5, 7}),
            (("genres = Drama|War",), {1}),
        ):
            found = one.recommend(one.user_ids[:1], 8, exclude_rated=False, levers=Levers(where=where))
            assert set(found["title"]) == {f"Item {n}" for n in titles}, where


@pytest.mark.parametrize(
    ("levers", "said"),
    [
        (Levers(where=("studio = X",)), "no column 'studio'; its columns: genres, year"),
        (Levers(where=("genres has",)), "'genres has' is no condition"),
        (Levers(where=("year > soon",)), "'soon' is no number"),
        (Levers(where=("year > 2100",)), "none of the 8 items has year > 2100"),
    ],
)
def test_what_no_item_can_meet_is_said_in_a_line(model: Model, levers: Levers, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("|", r"\|")):
        model.recommend(model.user_ids[:1], 3, levers=levers)
    with pytest.raises(UsageError, match="none of the 8 items has year > 1990 and 99 ratings or more"):
        model.recommend(model.user_ids[:1], 3, min_ratings=99, levers=Levers(where=("year > 1990",)))


def test_genres_that_are_not_known_have_no_share(model: Model) -> None:
    with pytest.raises(UsageError, match="no column 'genres'"):
        replace(model, items=None).recommend(model.user_ids[:1], 3, levers=Levers(max_genre_share=0.5))


def test_a_missing_value_meets_lacks_alone() -> None:
    table = pd.DataFrame({"a": [None, "x"], "n": [np.nan, 1.0]})
    for condition in ("a = x", "a != y", "a has x", "n = 1", "n != 2", "n > 0", "n < 5"):
        assert meeting(table, [condition]).tolist() == [False, True], condition
    assert meeting(table, ["a lacks y"]).tolist() == [True, True]


@pytest.mark.parametrize("wrong", [{"diversity": 1.0}, {"max_genre_share": 0.0}, {"popularity_penalty": -1}])
def test_levers_beyond_their_ends_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Levers(**wrong)


def test_caution_orders_by_a_lower_bound_over_the_draws(tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    factors = BPMF(n_factors=3, n_epochs=14, burn_in=4).train(ratings)
    Model.of(factors, ratings, None).save(tmp_path)
    model, users = Model.load(tmp_path), np.arange(-1, 30, dtype=np.int32)
    everything = np.tile(np.arange(20, dtype=np.int32), (31, 1))
    one_by_one = factors.deviation(np.repeat(users, 20), everything.ravel()).reshape(31, 20)
    assert factors.deviations(users) == pytest.approx(one_by_one, rel=1e-3, abs=1e-4)
    assert (one_by_one[1:] > 0).all()
    for caution in (0.5, 3.0):
        found = model.recommend(model.user_ids, 20, exclude_rated=False, levers=Levers(caution=caution))
        bounds = factors.scores(users[1:]).astype(np.float64) - caution * one_by_one[1:]
        codes = np.searchsorted(model.item_ids, found["item_id"]).reshape(30, 20)
        listed = np.take_along_axis(bounds, codes, axis=1)
        assert (np.diff(listed, axis=1) <= 1e-3).all()
    plain = model.recommend(model.user_ids, 20, exclude_rated=False)
    assert plain["item_id"].tolist() != found["item_id"].tolist()
    assert len(model.recommend(["nobody"], 5, levers=Levers(caution=1.0))) == 5


def test_caution_is_refused_where_there_are_no_draws() -> None:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=2).train(ratings), ratings, None)
    with pytest.raises(UsageError, match="caution needs draws from a posterior"):
        model.recommend(model.user_ids[:1], 5, levers=Levers(caution=1.0))
