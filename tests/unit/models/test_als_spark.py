from typing import Any

import numpy as np
import pytest

from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.metrics import rmse
from mfcore.models import ALS, ALSSpark, BiasOnly
from mfcore.models.lists import top_items
from mfcore.models.rated import RatedItems
from mfcore.models.spark import best_items
from mfcore.testing import check_recommender

LISTS = ALSSpark(n_factors=4, max_iter=5, n_blocks=2, alpha=4, missing_rating=0.5)


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    synthetic = synthesize(120, 80, 3600)
    return Ratings.from_frame(synthetic.frame, synthetic.scale)


# PySpark warns of pandas 3, none of which is used.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore:PySpark does not yet")]


@pytest.mark.parametrize("model", [ALSSpark(n_factors=4, max_iter=5, n_blocks=2), LISTS], ids=["ratings", "lists"])
def test_it_keeps_the_contract_of_algorithms(model: ALSSpark) -> None:
    check_recommender(model)


def test_it_predicts_as_als_does(ratings: Ratings) -> None:
    parts = split(ratings)
    train, test = ratings.take(parts.train), ratings.take(parts.test)

    def error(model: Any) -> float:
        return rmse(model.train(train).predict(test.users, test.items), test.values)

    # More iterations than MLlib keeps a plan for: what is checkpointed is used.
    own, theirs = error(ALS(n_factors=4)), error(ALSSpark(n_factors=4, max_iter=25, n_blocks=2))
    assert theirs < error(BiasOnly())
    assert theirs == pytest.approx(own, abs=0.05)


def test_weak_ratings_put_what_was_liked_above_what_was_not(ratings: Ratings) -> None:
    factors = LISTS.train(ratings)
    scores = factors.scores(np.arange(ratings.n_users, dtype=np.int32))
    rated = np.zeros(scores.shape, np.bool_)
    rated[ratings.users, ratings.items] = True
    assert scores[rated].mean() > scores[~rated].mean() + 0.1


@pytest.mark.parametrize("block", [32, 4096])
def test_blocks_make_the_lists_that_one_machine_makes(
    ratings: Ratings, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_USERS", "_ITEMS"):
        monkeypatch.setattr(f"mfcore.models.spark.{name}", block)
    factors, rated = ALS(n_factors=4).train(ratings), RatedItems.of(ratings)
    allowed = np.arange(ratings.n_items) % 5 > 0
    users = np.arange(ratings.n_users, dtype=np.int32)
    for k in (5, 70):  # the longer ones run out of items
        expected, _ = top_items(factors, users, k, rated, allowed)
        assert np.array_equal(best_items(factors, k, rated, allowed), expected)
    assert (expected == -1).any()
