import numpy as np
import pandas as pd
import pytest

from mfcore.metrics.slices import Slice, genres, head_and_tail, users_by_activity
from tests.contract.synthetic import make
from tests.unit.metrics.cases import random_ratings


def test_thirds_of_users_by_training_ratings() -> None:
    counts = [1, 1, 2, 3, 4, 5, 6, 7, 8]
    train = make(np.repeat(np.arange(9), counts), np.concatenate([np.arange(n) for n in counts]), 37 * [3], (9, 8))
    light, medium, heavy = users_by_activity(train, np.arange(9, dtype=np.int32))
    assert [np.flatnonzero(one.users).tolist() for one in (light, medium, heavy)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [one.meaning for one in (light, medium, heavy)] == [
        "at most 2 training ratings",
        "3 to 5 training ratings",
        "more than 5 training ratings",
    ]


def test_everybody_is_light_who_has_as_many_as_the_others() -> None:
    light, medium, heavy = users_by_activity(make([0, 1], [0, 1], [3, 3], (2, 2)), np.arange(2, dtype=np.int32))
    assert (light.users.all(), medium.users.any(), heavy.users.any()) == (True, False, False)
    assert medium.meaning == "nobody: light users have as many"


@pytest.mark.parametrize("seed", range(3))
def test_groups_part_users_and_items(seed: int) -> None:
    ratings, split = random_ratings((40, 30), seed)
    train = ratings.take(split.train)
    groups = users_by_activity(train, np.arange(40, dtype=np.int32))
    assert (sum(one.users.astype(int) for one in groups) == 1).all()
    head, tail = head_and_tail(train)
    assert (head.items ^ tail.items).all()
    counts = np.bincount(train.items, minlength=30)
    assert counts[head.items].min() >= counts[tail.items].max()
    assert counts[head.items].sum() >= 0.8 * len(train) > counts[head.items].sum() - counts[head.items].min()


def test_a_slice_of_ratings() -> None:
    ratings = make([0, 0, 1], [0, 1, 1], [3, 3, 3], (2, 2))
    first, second = np.array([True, False]), np.array([False, True])
    assert Slice("all", "").of(ratings).tolist() == [True, True, True]
    assert Slice("user", "", users=first).of(ratings).tolist() == [True, True, False]
    assert Slice("item", "", items=second).of(ratings).tolist() == [False, True, True]


@pytest.mark.parametrize("items", [None, pd.DataFrame({"item_id": [1], "title": ["Heat"]})])
def test_no_genres_are_known(items: pd.DataFrame | None) -> None:
    assert list(genres(items, np.array([1, 2]))) == []


def test_genres_of_items_that_have_some() -> None:
    items = pd.DataFrame({"item_id": ["1", "2", "9", "3"], "genres": ["War", None, "Comedy", "Comedy|War"]})
    found = {one.name: one.items.tolist() for one in genres(items, np.array([1, 2, 3]))}
    assert found == {"genre Comedy": [False, False, True], "genre War": [True, False, True]}
