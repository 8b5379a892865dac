import numpy as np
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import TrainingDiverged
from mfcore.models import SGD
from tests.contract.planted import make, planted

TOY = np.array([[5, 3, 0, 1], [4, 0, 0, 1], [1, 1, 0, 5], [1, 0, 0, 4], [0, 1, 5, 4]])


@pytest.fixture
def toy() -> Ratings:
    return make(*np.nonzero(TOY), TOY[TOY > 0], TOY.shape, Scale(1, 5, 1))


@pytest.mark.parametrize("seed", range(5))
def test_learns_the_five_by_four_matrix(toy: Ratings, seed: int) -> None:
    regs = dict.fromkeys(("reg_user", "reg_item", "reg_user_bias", "reg_item_bias"), 0.01)
    factors = SGD(n_factors=2, learning_rate=0.1, n_epochs=100, seed=seed, **regs).fit(toy)
    assert np.abs(factors.predict(toy.users, toy.items) - toy.values).max() < 0.15


def test_divergence_names_the_epoch_and_a_smaller_rate() -> None:
    ratings, _ = planted()
    with pytest.raises(TrainingDiverged, match=r"sgd diverged in epoch \d+ .*learning_rate, such as 2\.5"):
        SGD(learning_rate=10, decay=1).fit(ratings)


def test_one_epoch_is_the_update_rule() -> None:
    """One rating, one step, by hand: μ is the rating itself, so only regularisation moves."""
    ratings = make([0], [0], [4], (1, 1))
    model = SGD(n_factors=3, learning_rate=0.1, decay=1, reg_user=0.5, reg_item=0.25)
    training = model.begin(ratings)
    start = training.factors()
    training.step()
    x, y = start.user_factors[0].astype(float), start.item_factors[0].astype(float)
    error = -x @ y
    after = training.factors()
    assert after.user_factors[0] == pytest.approx(x + 0.1 * (error * y - 0.5 * x), rel=1e-5)
    assert after.item_factors[0] == pytest.approx(y + 0.1 * (error * x - 0.25 * y), rel=1e-5)
    assert after.user_bias[0] == pytest.approx(0.1 * error, rel=1e-5)
