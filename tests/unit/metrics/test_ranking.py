from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    ndcg_score,
    precision_score,
    recall_score,
)

from mfcore.data.ratings import Scale
from mfcore.metrics.ranking import RelevantItems, rank_metrics, relevant_threshold
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems
from tests.contract.synthetic import make
from tests.unit.metrics.cases import random_factors, random_ratings


def with_sklearn(scores: np.ndarray, liked: np.ndarray, k: int) -> dict[str, float]:
    """The metrics of one user's candidates, by scikit-learn."""
    order = np.argsort(-scores, kind="stable")
    shown = np.zeros(len(scores), bool)
    shown[order[:k]] = True
    top = liked[order[:k]]
    first = np.zeros(len(scores), bool)
    first[order[np.argmax(liked[order])]] = True
    found = average_precision_score(top, -np.arange(len(top))) if top.any() else 0.0
    return {
        "ndcg": ndcg_score([liked.astype(float)], [scores], k=k),
        # Precision is of k, also where fewer candidates are left.
        "precision": precision_score(liked, shown) * shown.sum() / k,
        "recall": recall_score(liked, shown),
        # scikit-learn's is over the relevant that are in the list.
        "map": found * top.sum() / liked.sum(),
        "mrr": label_ranking_average_precision_score([first], [scores]) if top.any() else 0.0,
        "hit_rate": float((liked & shown).any()),
    }


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_agrees_with_sklearn(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 20)), int(random.integers(10, 60)))
    factors, (ratings, split) = random_factors(shape, seed), random_ratings(shape, seed)
    seen, test = ratings.take(split.train), ratings.take(split.test)
    relevant, users = RelevantItems.of(test), np.arange(shape[0], dtype=np.int32)
    items, _ = top_items(factors, users, k, RatedItems.of(seen))
    n_relevant = relevant.counts(users)
    found = rank_metrics(relevant.hits(users, items), n_relevant, k)
    compared = 0
    for user in users:
        candidates = np.setdiff1d(np.arange(test.n_items), seen.items[seen.users == user])
        liked = np.isin(candidates, test.items[(test.users == user) & (test.values >= 4)])
        assert n_relevant[user] == liked.sum()
        if liked.any():
            compared += 1
            expected = with_sklearn(factors.scores(users[[user]])[0][candidates], liked, k)
            assert {name: values[user] for name, values in found.items()} == pytest.approx(expected, abs=1e-12)
    assert compared


def test_a_known_answer() -> None:
    """Relevant items are 0 and 2; the list is 3, 2, 1: a hit in the second place."""
    test = make([0, 0, 0], [0, 1, 2], [4, 3, 5], (1, 4), Scale(1, 5, 1))
    user, items = np.zeros(1, np.int32), np.array([[3, 2, 1]], np.int32)
    relevant = RelevantItems.of(test)
    found = rank_metrics(relevant.hits(user, items), relevant.counts(user), 3)
    assert {name: values.item() for name, values in found.items()} == pytest.approx(
        {
            "ndcg": (1 / np.log2(3)) / (1 + 1 / np.log2(3)),
            "precision": 1 / 3,
            "recall": 1 / 2,
            "map": 1 / 4,
            "mrr": 1 / 2,
            "hit_rate": 1,
        }
    )
    assert RelevantItems.of(test, relevant_from=5).counts(user).tolist() == [1]
    assert relevant.among(np.array([True, True, False, True])).hits(user, items).tolist() == [[False, False, False]]


def test_an_empty_place_is_no_hit() -> None:
    """Pair (1, −1) has the key of pair (0, 3)."""
    test = make([0], [3], [5], (2, 4), Scale(1, 5, 1))
    assert RelevantItems.of(test).hits(np.array([1], np.int32), np.array([[-1]], np.int32)).tolist() == [[False]]


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 12))), st.integers(0, 20))
def test_what_holds_for_any_list(hits: np.ndarray, unlisted: int) -> None:
    n_relevant = hits.sum(axis=1) + unlisted
    length = hits.shape[1]
    found = [rank_metrics(hits, n_relevant, k) for k in range(1, length + 1)]
    for one in found:
        for values in one.values():
            assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert (one["map"] <= one["recall"] + 1e-12).all()
        assert (one["mrr"] <= one["hit_rate"]).all()
    for shorter, longer in pairwise(found):
        for name in ("recall", "map", "mrr", "hit_rate"):
            assert (shorter[name] <= longer[name] + 1e-12).all()
    best = np.sort(hits, axis=1)[:, ::-1]
    for name, values in rank_metrics(best, n_relevant, length).items():
        assert (values >= found[-1][name] - 1e-12).all()
    if unlisted == 0 and hits.any():
        assert rank_metrics(best, n_relevant, length)["ndcg"].max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("scale", "threshold"),
    [(Scale(1, 5, 1), 4), (Scale(0.5, 5, 0.5), 3.5), (Scale(0, 10, 1), 6), (Scale(-10, 10), 2), (Scale(0, 100), 60)],
)
def test_threshold_is_the_upper_two_fifths_of_the_scale(scale: Scale, threshold: float) -> None:
    assert relevant_threshold(scale) == pytest.approx(threshold)
