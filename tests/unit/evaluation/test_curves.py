import pytest

from mfcore.errors import TrainingDiverged
from mfcore.evaluation import curves
from mfcore.evaluation.curves import learning_curve
from mfcore.metrics import rmse
from mfcore.models import ALS, BiasOnly, Recipe, Training
from tests.contract.synthetic import synthetic_ratings

TRAIN, VALIDATION = synthetic_ratings(60, 40)
ALS_3 = Recipe(algorithm="als", params={"n_factors": 2, "n_epochs": 3})


def test_both_errors_are_those_of_one_fit_after_each_epoch() -> None:
    curve = learning_curve(ALS_3, TRAIN, VALIDATION)
    assert (len(curve.train), len(curve.validation), curve.chosen) == (200, 200, 3)
    factors = ALS(n_factors=2, n_epochs=3).train(TRAIN)
    assert curve.train[2] == rmse(factors.predict(TRAIN.users, TRAIN.items), TRAIN.values)
    assert curve.validation[2] == rmse(factors.predict(VALIDATION.users, VALIDATION.items), VALIDATION.values)
    frame = curve.frame()
    assert frame["epoch"].tolist() == list(range(1, 201))
    assert frame.loc[frame["checkpoint"], "epoch"].tolist() == [1, 2, 5, 10, 25, 50, 100, 200]


def test_much_data_is_not_passed_over_more_often_than_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_MOST_RATINGS", 10 * len(TRAIN))
    assert len(learning_curve(ALS_3, TRAIN, VALIDATION).train) == 10
    monkeypatch.setattr(curves, "_MOST_RATINGS", len(TRAIN))
    assert len(learning_curve(ALS_3, TRAIN, VALIDATION).train) == 3


def test_errors_are_of_a_sample_where_there_are_many_ratings(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learning_curve(ALS_3, TRAIN, VALIDATION)
    monkeypatch.setattr(curves, "_SAMPLE", len(TRAIN) // 2)
    sampled = learning_curve(ALS_3, TRAIN, VALIDATION)
    assert sampled.train != whole.train
    assert sampled.train == pytest.approx(whole.train, rel=0.1)


def test_a_recipe_of_one_epoch_is_a_point() -> None:
    curve = learning_curve(Recipe(algorithm="knn", params={"n_factors": 4}), TRAIN, VALIDATION)
    assert len(curve.train) == len(curve.validation) == 1


def test_a_curve_ends_where_training_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = BiasOnly.begin

    def diverging(self: BiasOnly, *arguments: object) -> Training:
        training = begin(self, *arguments)  # type: ignore[arg-type]
        step = training.step

        def until_five() -> None:
            if training.epoch == 5:
                raise TrainingDiverged("on purpose")
            step()

        training.step = until_five  # type: ignore[method-assign]
        return training

    monkeypatch.setattr(BiasOnly, "begin", diverging)
    assert len(learning_curve(Recipe(algorithm="bias"), TRAIN, VALIDATION).train) == 5
