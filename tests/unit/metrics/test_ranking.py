import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from mfcore.data.ratings import Ratings, Scale
from mfcore.metrics import rank_metrics, relevant_threshold
from mfcore.models import Factors
from tests.contract.planted import make


def random_case(seed: int) -> tuple[Factors, Ratings, Ratings]:
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 30)), int(random.integers(5, 60)))
    factors = Factors(
        global_mean=3.0,
        user_bias=random.normal(size=shape[0]).astype(np.float32),
        item_bias=random.normal(size=shape[1]).astype(np.float32),
        user_factors=random.normal(size=(shape[0], 4)).astype(np.float32),
        item_factors=random.normal(size=(shape[1], 4)).astype(np.float32),
        user_ids=np.arange(shape[0]),
        item_ids=np.arange(shape[1]),
        scale=Scale(1, 5, 1),
    )
    part = random.choice(3, size=shape, p=[0.6, 0.2, 0.2])
    values = random.integers(1, 6, size=shape).astype(np.float32)
    seen, test = (make(*np.nonzero(part == which), values[part == which], shape, factors.scale) for which in (1, 2))
    return factors, seen, test


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_agrees_with_sklearn_and_with_counting(seed: int, k: int) -> None:
    factors, seen, test = random_case(seed)
    result = rank_metrics(factors, seen, test, k)
    expected = {}
    for user in range(test.n_users):
        candidates = np.setdiff1d(np.arange(test.n_items), seen.items[seen.users == user])
        liked = set(test.items[(test.users == user) & (test.values >= 4)].tolist())
        if not liked:
            continue
        scores = factors.scores(np.array([user], np.int32))[0]
        ranked = sorted(candidates.tolist(), key=lambda item: (-scores[item], item))
        recall = len(liked & set(ranked[:k])) / len(liked)
        gains = [[float(item in liked) for item in candidates.tolist()]]
        ndcg = ndcg_score(gains, scores[None, candidates], k=k) if len(candidates) > 1 else 1.0
        expected[user] = ndcg, recall
    assert result.users.tolist() == list(expected)
    assert np.allclose(result.ndcg_at_k, [ndcg for ndcg, _ in expected.values()])
    assert np.allclose(result.recall_at_k, [recall for _, recall in expected.values()])


def test_a_known_answer() -> None:
    """The list is items 3, 2, 1, 0; item 3 was seen; items 2 and 0 are liked."""
    zero = np.zeros((1, 0), np.float32)
    bias = np.arange(4, dtype=np.float32)
    factors = Factors(
        3.0,
        np.zeros(1, np.float32),
        bias,
        zero,
        np.zeros((4, 0), np.float32),
        np.arange(1),
        np.arange(4),
        Scale(1, 5, 1),
    )
    seen = make([0], [3], [5], (1, 4))
    test = make([0, 0, 0], [0, 1, 2], [4, 3, 5], (1, 4), Scale(1, 5, 1))
    result = rank_metrics(factors, seen, test, k=2)
    assert result.recall == 0.5
    assert result.ndcg == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert rank_metrics(factors, seen, test, k=2, relevant_from=5).ndcg == 1.0


def test_nobody_with_a_relevant_item() -> None:
    factors, seen, test = random_case(0)
    result = rank_metrics(factors, seen, test, 10, relevant_from=6)
    assert len(result.users) == 0
    assert np.isnan(result.ndcg) and np.isnan(result.recall)


@pytest.mark.parametrize(
    ("scale", "threshold"),
    [(Scale(1, 5, 1), 4), (Scale(0.5, 5, 0.5), 3.5), (Scale(0, 10, 1), 6), (Scale(-10, 10), 2), (Scale(0, 100), 60)],
)
def test_threshold_is_the_upper_two_fifths_of_the_scale(scale: Scale, threshold: float) -> None:
    assert relevant_threshold(scale) == pytest.approx(threshold)
