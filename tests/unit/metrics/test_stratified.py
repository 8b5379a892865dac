import numpy as np
import pytest

from mfcore.config import EvaluationConfig
from mfcore.metrics import Evaluator
from mfcore.metrics.ranking import RelevantItems, rank_metrics
from mfcore.metrics.stratified import Stratified
from mfcore.models import MostPopular
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems
from tests.unit.metrics.cases import random_factors, random_ratings


def plainly(weights: np.ndarray, liked: set[int], listed: list[int]) -> tuple[float, float]:
    """One user's stratified NDCG and recall, written down as they are defined."""
    gain = sum(weights[item] / np.log2(place + 2) for place, item in enumerate(listed) if item in liked)
    best = sum(
        w / np.log2(place + 2)
        for place, w in enumerate(sorted((weights[i] for i in liked), reverse=True)[: len(listed)])
    )
    return gain / best, sum(weights[item] for item in listed if item in liked) / sum(weights[item] for item in liked)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_agrees_with_the_definition(beta: float, k: int) -> None:
    ratings, split = random_ratings((25, 40), seed=k)
    train, test = ratings.take(split.train), ratings.take(split.test)
    relevant, users = RelevantItems.of(test), np.arange(0, 25, 2, dtype=np.int32)  # some users alone
    items, _ = top_items(random_factors((25, 40), 1), users, 10, RatedItems.of(train))
    stratified = Stratified.of(train, beta)
    counts = np.bincount(train.items, minlength=40)
    assert stratified.weights == pytest.approx(1 / np.maximum(counts, 1) ** beta)
    found = stratified.metrics(relevant, users, items, k)
    compared = 0
    for row, user in enumerate(users):
        liked = set(test.items[(test.users == user) & (test.values >= 4)])
        if liked:
            ndcg, recall = plainly(stratified.weights, liked, list(items[row, :k]))
            assert found["stratified_ndcg"][row] == pytest.approx(ndcg)
            assert found["stratified_recall"][row] == pytest.approx(recall)
            compared += 1
    assert compared > 8
    if beta == 0:
        plain = rank_metrics(relevant.hits(users, items), relevant.counts(users), k)
        assert found["stratified_ndcg"] == pytest.approx(plain["ndcg"])
        assert found["stratified_recall"] == pytest.approx(plain["recall"])


def test_popular_lists_lose_by_it_and_nobody_else() -> None:
    ratings, split = random_ratings((80, 60), seed=3)
    keep = np.random.default_rng(0).random(len(ratings)) < np.linspace(1, 0.05, 60)[ratings.items]
    rows = np.flatnonzero(keep)
    position = {row: place for place, row in enumerate(rows)}
    parts = [
        np.array([position[row] for row in part if row in position])
        for part in (split.train, split.validation, split.test)
    ]
    evaluator = Evaluator(ratings.take(rows), type(split)(*parts), config=EvaluationConfig(ks=(5,), stratified_by=1.0))
    model = MostPopular()
    measured = evaluator.measure(model.train(evaluator.known), None)
    values = {one.metric: one.value for one in measured.measures if one.slice == "all"}
    assert values["stratified_recall_at_5"] < values["recall_at_5"]
    assert values["stratified_ndcg_at_5"] < values["ndcg_at_5"]
    assert "stratified_ndcg_at_5" in measured.estimates
    assert not [one for one in measured.measures if one.slice.startswith("new users")]


def test_nobody_liked_anything() -> None:
    none = RelevantItems(np.empty(0, np.int64), 3)
    found = Stratified(np.ones(3)).metrics(none, np.array([0], np.int32), np.array([[1, -1]], np.int32), 2)
    assert {name: values.tolist() for name, values in found.items()} == {
        "stratified_ndcg": [0.0],
        "stratified_recall": [0.0],
    }
