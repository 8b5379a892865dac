import numpy as np
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import TrainingDiverged
from mfcore.metrics import rmse
from mfcore.models import SGD
from mfcore.models.kernels.threads import threads
from mfcore.models.sgd import _Adam, _Descent
from mfcore.testing import same_bits
from tests.contract.synthetic import make, synthetic_ratings

TOY = np.array([[5, 3, 0, 1], [4, 0, 0, 1], [1, 1, 0, 5], [1, 0, 0, 4], [0, 1, 5, 4]])


@pytest.fixture
def toy() -> Ratings:
    return make(*np.nonzero(TOY), TOY[TOY > 0], TOY.shape, Scale(1, 5, 1))


@pytest.mark.parametrize("seed", range(5))
def test_learns_the_five_by_four_matrix(toy: Ratings, seed: int) -> None:
    regs = dict.fromkeys(("reg_user", "reg_item", "reg_user_bias", "reg_item_bias"), 0.01)
    factors = SGD(n_factors=2, learning_rate=0.1, n_epochs=100, seed=seed, **regs).train(toy)
    assert np.abs(factors.predict(toy.users, toy.items) - toy.values).max() < 0.15


@pytest.mark.parametrize("missing_weight", [0, 0.3])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300)])
def test_more_groups_on_one_side_visit_every_rating_once_and_give_the_same_bits(
    shape: tuple[int, int], missing_weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on large data: groups are so small that 300 rows take more of them than the 16 that there are at least."""
    monkeypatch.setattr("mfcore.models.kernels.grid._GROUP_BYTES", 256)
    ratings, _ = synthetic_ratings(n_users=shape[0], n_items=shape[1])
    model = SGD(n_factors=3, n_epochs=4, missing_weight=missing_weight)
    training = model.begin(ratings)
    assert isinstance(training, _Descent) and len(set(training.shape)) == 2
    orders = list(training._rounds()) if missing_weight else [training._wave()]
    visited = np.concatenate([turns.blocks.ravel() for turns in orders])
    assert sorted(visited) == list(range(training.shape[0] * training.shape[1]))
    fits = []
    for n in (1, 2, 5):
        with threads(n):
            fits.append(model.train(ratings))
    assert all(same_bits(fits[0], other) for other in fits[1:])


def test_divergence_names_the_epoch_and_a_smaller_rate() -> None:
    ratings, _ = synthetic_ratings()
    with pytest.raises(TrainingDiverged, match=r"sgd diverged in epoch \d+ .*learning_rate, such as 2\.5"):
        SGD(learning_rate=10, decay=1).train(ratings)


def test_one_epoch_is_the_update_rule() -> None:
    """One rating, one step, by hand: μ is the rating itself, so only regularization moves."""
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


def test_adam_is_its_update_rule() -> None:
    """One block, batches of all four ratings: three steps against Adam written out in float64."""
    ratings = make([0, 0, 1, 1], [0, 1, 0, 1], [5, 3, 4, 1], (2, 2))
    model = SGD(optimizer="adam", n_factors=2, learning_rate=0.05, decay=0.9, batch_size=1, reg_user=0.1, reg_item=0.2)
    model = model.model_copy(update={"reg_user_bias": 0.3, "reg_item_bias": 0.4})
    one = ratings.take(np.array([2]))
    training = model.begin(one)
    assert isinstance(training, _Adam)
    for side in (training.user_side, training.item_side):
        side[0][:] *= 30  # away from zero, where a step's size would hang on rounding
    start = training.factors()
    for _ in range(3):
        training.step()
    after = training.factors()
    x = np.append(start.user_factors[1].astype(float), start.user_bias[1])
    y = np.append(start.item_factors[0].astype(float), start.item_bias[0])
    moments = np.zeros((2, 2, 3))
    for step in range(1, 4):
        error = -(x[:2] @ y[:2]) - x[2] - y[2]  # the rating is its own mean
        slopes = [
            -error * np.append(y[:2], 1) + np.array([0.1, 0.1, 0.3]) * x,
            -error * np.append(x[:2], 1) + np.array([0.2, 0.2, 0.4]) * y,
        ]
        for row, slope, moment in zip((x, y), slopes, moments, strict=True):
            moment[0] = 0.9 * moment[0] + 0.1 * slope
            moment[1] = 0.999 * moment[1] + 0.001 * slope**2
            ahead = moment[0] / (1 - 0.9**step), moment[1] / (1 - 0.999**step)
            row -= 0.05 * 0.9 ** (step - 1) * ahead[0] / (np.sqrt(ahead[1]) + 1e-8)
    assert after.user_factors[1] == pytest.approx(x[:2], rel=1e-3)
    assert after.item_factors[0] == pytest.approx(y[:2], rel=1e-3)
    assert [after.user_bias[1], after.item_bias[0]] == pytest.approx([x[2], y[2]], rel=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 100_000])
def test_adam_learns_with_any_batch(batch_size: int) -> None:
    ratings, truth = synthetic_ratings()
    rate = 0.02 if batch_size < 1000 else 0.1
    model = SGD(optimizer="adam", n_factors=2, learning_rate=rate, reg_user=0.003, reg_item=0.003)
    factors = model.model_copy(update={"batch_size": batch_size}).train(ratings)
    error = rmse(factors.predict(truth.users, truth.items), truth.values)
    assert error < 0.2


def test_rows_without_ratings_in_a_batch_stay_as_they_are() -> None:
    ratings = make([0, 1], [0, 1], [5, 1], (3, 3))
    training = SGD(optimizer="adam", n_factors=2).begin(ratings)
    start = training.factors()
    training.step()
    assert training.factors().user_factors[2].tolist() == start.user_factors[2].tolist()


def test_only_huge_rates_make_adam_diverge() -> None:
    with pytest.raises(TrainingDiverged, match="smaller learning_rate"):
        SGD(optimizer="adam", learning_rate=1e18).train(synthetic_ratings()[0])


def test_somebody_new_is_served_by_few_ratings_no_worse_than_by_none() -> None:
    """One rating says little, so that it takes the new users of several populations to see it."""
    counts = (0, 1, 5, 20)
    errors: dict[int, list[float]] = {n_known: [] for n_known in counts}
    for seed in range(20):
        found = synthesize(600, 150, 18_000, seed=seed)
        ratings = Ratings.from_frame(found.frame, found.scale)
        is_new = np.isin(ratings.users, np.flatnonzero(np.bincount(ratings.users) >= 30)[::8])
        model = SGD(n_factors=32, n_epochs=12, reg_user=0.01, reg_item=0.01)
        factors = model.train(ratings.take(np.flatnonzero(~is_new)))
        for user in np.unique(ratings.users[is_new]):
            own = ratings.take(np.random.default_rng(user).permutation(np.flatnonzero(ratings.users == user)))
            rest = own.items[20:]
            for n_known in counts:
                predicted = factors.fold_in(own.items[:n_known], own.values[:n_known])
                errors[n_known].extend(np.square(predicted.predict(np.zeros_like(rest), rest) - own.values[20:]))
    means = [np.mean(errors[n_known]) for n_known in counts]
    assert means == sorted(means, reverse=True)
