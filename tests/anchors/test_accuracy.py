"""Accuracy on MovieLens 100K against published figures and our own aims."""

from typing import Any

import pytest

from mfcore import bench
from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.metrics import rmse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def five_folds(ml_100k: Ratings) -> dict[str, float]:
    result: dict[str, Any] = bench.accuracy(ml_100k)
    print(bench.table(result))
    errors: dict[str, float] = result["rmse"]
    return errors


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        ("als", 0.905),
        ("sgd", 0.906),
        ("bpmf", 0.900),
        ("blend", 0.898),
        ("knn", 0.9133),
    ],
)
def test_five_folds(five_folds: dict[str, float], model: str, bound: float) -> None:
    assert five_folds[model] <= bound


def test_adaptive_priors_are_no_worse_than_fixed(five_folds: dict[str, float]) -> None:
    assert five_folds["pmf"] <= five_folds["pmf, fixed priors"]


def test_everything_beats_biases(five_folds: dict[str, float]) -> None:
    biases = five_folds.pop("bias")
    assert 0.93 < biases < 0.95
    assert all(error < biases - 0.015 for error in five_folds.values())


def test_bpmf_on_the_predefined_fold(fold_u3: tuple[Ratings, Ratings]) -> None:
    base, test = fold_u3
    factors = bench.RECIPES["bpmf"].build().train(base)
    assert rmse(factors.predict(test.users, test.items), test.values) <= 0.8944


def test_ten_ratings_left_out_of_each_user(ml_100k: Ratings) -> None:
    parts = split(ml_100k, SplitConfig(method="leave-k-out", leave_k=10))
    train = ml_100k.take(parts.known)
    test = ml_100k.take(parts.test)
    factors = bench.RECIPES["bpmf"].build().train(train)
    assert rmse(factors.predict(test.users, test.items), test.values) ** 2 <= 0.875
