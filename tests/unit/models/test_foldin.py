import numpy as np
import pytest
from numpy.typing import NDArray

from mfcore.errors import UsageError
from mfcore.models import ALS, BPMF, PMF, BiasOnly, Blend, ItemKNN, Recommender
from mfcore.models.foldin import Part
from tests.contract.synthetic import synthetic_ratings

EXACT: dict[str, Recommender] = {
    "als": ALS(n_factors=6, n_epochs=4),
    "als, plain": ALS(n_factors=6, n_epochs=4, reg_exponent=0),
    "als, weighted": ALS(n_factors=40, n_epochs=4, reg_exponent=1, reg_user=0.05, reg_item=0.05),
    "pmf, fixed": PMF(n_factors=6, n_epochs=4, priors="fixed"),
    "pmf, spherical": PMF(n_factors=3, n_epochs=12, priors="spherical"),
    "pmf, diagonal": PMF(n_factors=6, n_epochs=12, priors="diagonal"),
    "biases": BiasOnly(),
    "item kNN": ItemKNN(n_factors=30, n_neighbors=40),
    "blend": Blend(members=(ALS(n_factors=3), ItemKNN(n_factors=10), BiasOnly())),
}


@pytest.mark.parametrize("name", EXACT)
def test_folding_in_a_trained_user_gives_their_row(name: str) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = EXACT[name].train(ratings)
    for user in range(0, 60, 7):
        theirs = ratings.users == user
        new = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        assert new.user_factors[0] == pytest.approx(factors.user_factors[user], abs=1e-4)
        assert new.user_bias[0] == pytest.approx(factors.user_bias[user], abs=1e-4)


def test_behind_a_link_the_row_is_where_training_ends() -> None:
    """Gauss–Newton steps an epoch at a time reach the mode that fold-in finds at once."""
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    model = PMF(n_factors=3, n_epochs=300, link="logistic", priors="fixed", reg_user=5, reg_item=5)
    factors = model.train(ratings)
    for user in range(0, 60, 7):
        theirs = ratings.users == user
        new = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        everything = np.arange(50, dtype=np.int32)
        folded, trained = new.predict(0 * everything, everything), factors.predict(0 * everything + user, everything)
        assert folded == pytest.approx(trained, abs=0.01)


def test_a_sampled_model_folds_in_near_its_own_rows() -> None:
    """The mean over draws of the conditional mean is close to the mean over draws."""
    ratings, _ = synthetic_ratings(n_users=80, n_items=60)
    factors = BPMF(n_factors=2, n_epochs=80).train(ratings)
    everything = np.arange(60, dtype=np.int32)
    for user in range(0, 80, 16):
        theirs = ratings.users == user
        new = factors.fold_in(ratings.items[theirs], ratings.values[theirs])
        folded, sampled = new.predict(0 * everything, everything), factors.predict(0 * everything + user, everything)
        assert np.sqrt(np.mean((folded - sampled) ** 2)) < 0.05


def test_the_last_value_counts_and_unknown_items_don_t() -> None:
    factors = ALS(n_factors=3).train(synthetic_ratings()[0])
    once = factors.fold_in(np.array([4, 7], np.int32), np.array([5, 2], np.float32))
    twice = factors.fold_in(np.array([4, -1, 7, 4], np.int32), np.array([1, 3, 2, 5], np.float32))
    assert once.user_factors.tolist() == twice.user_factors.tolist()


@pytest.mark.parametrize("value", [0.5, 6, np.nan])
def test_values_off_the_scale_are_refused(value: float) -> None:
    factors = ALS(n_factors=3).train(synthetic_ratings()[0])
    with pytest.raises(UsageError, match="between 1 and 5"):
        factors.fold_in(np.array([4], np.int32), np.array([value], np.float32))


SPLIT: dict[str, Recommender] = {
    **EXACT,
    "als, unrated": ALS(n_factors=6, n_epochs=4, missing_weight=0.1),
    "als, not below zero": ALS(n_factors=6, n_epochs=4, nonnegative=True),
    "behind a link": PMF(n_factors=3, n_epochs=40, link="logistic", priors="fixed", reg_user=5, reg_item=5),
    "sampled": BPMF(n_factors=2, n_epochs=20),
}


@pytest.mark.parametrize("name", SPLIT)
def test_contributions_add_up_to_what_the_row_makes_of_an_item(name: str) -> None:
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = SPLIT[name].train(ratings)
    theirs = ratings.users == 3
    items, values = ratings.items[theirs], ratings.values[theirs]
    row = factors.fold_in(items, values).user_factors[0].astype(np.float64)
    for item in (0, 17, int(items[0])):
        y = factors.item_factors[item].astype(np.float64)
        # What the draws of a posterior add for the item whoever the user is.
        ends = np.cumsum([part.columns for part in factors.parts])
        spare = [end - 1 for part, end in zip(factors.parts, ends, strict=True) if part.columns > part.n_factors]
        anybody = float(row[spare] @ y[spare])
        brought = factors.contributions(items, values, np.array([item]))[0]
        assert brought.shape == items.shape
        assert brought.sum() == pytest.approx(row @ y - anybody, abs=1e-5)


def test_a_contribution_is_the_residual_times_what_the_rating_moves() -> None:
    """By differences: the score is linear in a rating, and falls to the others' share where its residual is 0."""
    ratings, _ = synthetic_ratings(n_users=60, n_items=50)
    factors = ALS(n_factors=4).train(ratings)
    items, values = np.array([3, 11, 30], np.int32), np.array([5, 2, 4], np.float32)

    def product(values: NDArray[np.float32]) -> float:
        return float(factors.fold_in(items, values).user_factors[0] @ factors.item_factors[20])

    brought = factors.contributions(items, values, np.array([20]))[0]
    for n, item in enumerate(items):
        moved = values.copy()
        moved[n] -= 1
        residual = values[n] - factors.parts[0].global_mean - factors.parts[0].item_bias[item]
        assert brought[n] == pytest.approx(residual * (product(values) - product(moved)), abs=1e-4)
    assert np.abs(brought).max() > 0.01


def test_a_row_by_confidence_solves_the_weighted_system() -> None:
    random = np.random.default_rng(0)
    n, k, alpha, reg, origin, unit = 30, 3, 4.0, 0.05, 0.5, 3.0
    y = random.standard_normal((n, k))
    items, values = np.array([1, 4, 7, 9], np.int32), np.array([5, 1, 3, 0.2])
    z = (values - origin) / unit
    extra = alpha * np.abs(z)
    system = y.T @ y + (y[items].T * extra) @ y[items] + len(items) * reg * np.eye(k)
    expected = np.linalg.solve(system, ((1 + extra) * (z > 0)) @ y[items])
    weight, scaled = 1 / (1 + alpha), (y * unit**0.5).astype(np.float32)
    part = Part(
        columns=k,
        weight=1.0,
        global_mean=origin,
        item_bias=np.zeros(n, np.float32),
        precision=np.diag([reg * unit * weight] * k + [np.inf]).astype(np.float32),
        exponent=1.0,
        missing_weight=weight,
        gram=(weight * scaled.T @ scaled).astype(np.float32),
        confidence=alpha,
        unit=unit,
    )
    row = part.solve(scaled, items, values, False)
    assert row[:k] / unit**0.5 == pytest.approx(expected, abs=1e-6)
    brought = part.brought(scaled, items, values, False, np.eye(k + 1))
    assert brought.sum(axis=1) == pytest.approx(row, abs=1e-9)
