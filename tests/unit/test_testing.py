"""The contract for algorithms notices what breaks it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mfcore.data import Ratings
from mfcore.models import ALS, MODELS, Factors, Training
from mfcore.models.alternation import Alternation
from mfcore.testing import check_recommender


class Faulty(ALS):
    """ALS with one fault."""

    fault: str

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        training = super().begin(ratings, start)
        FAULTS[self.fault](training, ratings)
        return training


def rows_of_chance(training: Training, _: Ratings) -> None:
    assert isinstance(training, Alternation)
    training.users.factors[:] = np.random.default_rng().standard_normal(training.users.factors.shape, np.float32)


def changed_ratings(_: Training, ratings: Ratings) -> None:
    ratings.users[:1] = 0


def handed_out(change: Callable[[Factors], Factors]) -> Callable[[Training, Ratings], None]:
    """A fault in the factors that are handed out."""

    def fault(training: Training, _: Ratings) -> None:
        learned = training.factors
        training.factors = lambda: change(learned())  # type: ignore[method-assign]

    return fault


def one_array(training: Training, _: Ratings) -> None:
    learned = training.factors
    shared = learned().user_bias

    def factors() -> Factors:
        shared[:] = learned().user_bias
        return replace(learned(), user_bias=shared)

    training.factors = factors  # type: ignore[method-assign]


def twice(training: Training, _: Ratings) -> None:
    step = training.step

    def twice() -> None:
        step()
        step()

    training.step = twice  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[Training, Ratings], None]] = {
    "none": lambda training, ratings: None,
    "same seed, same bits": rows_of_chance,
    "each step is an epoch": twice,
    "handed out before": one_array,
    "read-only": changed_ratings,
    "predictions are finite": handed_out(lambda one: replace(one, item_bias=one.item_bias * np.float32("nan"))),
    "nearly their trained predictions": handed_out(lambda one: replace(one, parts=())),
    "is predicted what an unknown one is": handed_out(
        lambda one: replace(one, user_bias=one.user_bias + np.float32(len(one.user_ids) == 5))
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "als", Faulty)
    model = Faulty(n_factors=2, n_epochs=3, fault=fault)
    if fault == "none":
        check_recommender(model)
        return
    with pytest.raises((AssertionError, ValueError), match=fault):
        check_recommender(model)


def test_an_algorithm_that_recipes_do_not_find() -> None:
    with pytest.raises(AssertionError, match="the class is in MODELS"):
        check_recommender(Faulty(fault="none"))
