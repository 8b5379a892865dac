import numpy as np
import pytest
from scipy.optimize import nnls

from mfcore.data.ratings import Ratings
from mfcore.models import ALS, PMF
from mfcore.models.factors import Factors
from tests.contract.synthetic import make, synthetic_ratings


def objective(factors: Factors, ratings: Ratings, model: ALS) -> float:
    """The class docstring's objective in the ratings' unit, in float64: there λ of factors is σ times as large."""
    spread = float(np.std(ratings.values, dtype=np.float64))
    b_u, b_i = factors.user_bias.astype(float), factors.item_bias.astype(float)
    x, y = factors.user_factors.astype(float), factors.item_factors.astype(float)
    u, i = ratings.users, ratings.items
    error = ratings.values - factors.global_mean - b_u[u] - b_i[i] - (x[u] * y[i]).sum(1)
    n_u = np.bincount(u, minlength=len(b_u)) ** model.reg_exponent
    n_i = np.bincount(i, minlength=len(b_i)) ** model.reg_exponent
    penalty = n_u @ (spread * model.reg_user * (x**2).sum(1) + model.reg_user_bias * b_u**2)
    penalty += n_i @ (spread * model.reg_item * (y**2).sum(1) + model.reg_item_bias * b_i**2)
    return float(error @ error + penalty)


@pytest.mark.parametrize("n_factors", [1, 7, 16, 40, 64, 100])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_rows_are_the_least_squares_solution(n_factors: int, exponent: float) -> None:
    """The users' rows, solved last, agree with a solve in float64 for every tile and panel remainder."""
    ratings, _ = synthetic_ratings(n_users=150, n_items=90, density=0.5)
    model = ALS(n_factors=n_factors, reg_user=0.4, reg_item=0.3, reg_user_bias=0.2, reg_exponent=exponent)
    training = model.begin(ratings)
    training.step()
    factors = training.factors()
    spread = float(np.std(ratings.values, dtype=np.float64))
    for user in range(0, ratings.n_users, 7):
        rows = np.flatnonzero(ratings.users == user)
        items = ratings.items[rows]
        design = np.column_stack([factors.item_factors[items].astype(float), np.ones(len(rows))])
        target = ratings.values[rows] - factors.global_mean - factors.item_bias[items].astype(float)
        ridge = np.diag([0.4 * spread] * n_factors + [0.2]) * len(rows) ** exponent
        solution = np.linalg.solve(design.T @ design + ridge, design.T @ target)
        assert factors.user_factors[user] == pytest.approx(solution[:-1], abs=2e-4)
        assert factors.user_bias[user] == pytest.approx(solution[-1], abs=2e-4)


def test_rows_that_single_precision_cannot_eliminate_are_solved_in_double() -> None:
    """Ratings of rank 2 leave 62 of 64 factors to a ridge that rounding swallows; numpy in float32 fails, too."""
    random = np.random.default_rng(0)
    n_users, n_items, k = 20, 3000, 64
    users, items = np.nonzero(random.random((n_users, n_items)) < random.uniform(0.1, 0.9, n_users)[:, None])
    taste, kind = random.standard_normal((n_users, 2)), random.standard_normal((n_items, 2))
    ratings = make(users, items, 3 + (taste[users] * kind[items]).sum(axis=1), (n_users, n_items))
    model = ALS(n_factors=k, reg_user=0.001, reg_item=0.001, reg_user_bias=0.001, reg_item_bias=0.001, reg_exponent=0)
    training = model.begin(ratings)
    for _ in range(3):
        training.step()
    factors = training.factors()
    spread = float(np.std(ratings.values, dtype=np.float64))
    ridge = np.diag([0.001 * spread] * k + [0.001])
    n_lost = 0
    for user in range(n_users):
        theirs = items[users == user]
        design = np.column_stack([factors.item_factors[theirs].astype(float), np.ones(len(theirs))])
        target = ratings.values[users == user] - factors.global_mean - factors.item_bias[theirs].astype(float)
        solution = np.linalg.solve(design.T @ design + ridge, design.T @ target)
        found = np.append(factors.user_factors[user], factors.user_bias[user]).astype(float)
        assert design @ found == pytest.approx(design @ solution, abs=2e-3)
        try:
            lower = np.linalg.cholesky((design.T @ design + ridge).astype(np.float32))
            single = np.linalg.solve(lower.T, np.linalg.solve(lower, (design.T @ target).astype(np.float32)))
            n_lost += not np.allclose(design @ single, design @ solution, atol=2e-3)
        except np.linalg.LinAlgError:
            n_lost += 1
    assert n_lost >= 10


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_objective_never_rises(exponent: float) -> None:
    ratings, _ = synthetic_ratings()
    model = ALS(n_factors=5, reg_user=0.1, reg_item=0.2, reg_exponent=exponent)
    training = model.begin(ratings)
    values = []
    for _ in range(12):
        training.step()
        values.append(objective(training.factors(), ratings, model))
    assert (np.diff(values) <= 1e-6 * values[0]).all()
    assert values[-1] < values[0]


def test_pmf_with_fixed_priors_is_plain_ridge() -> None:
    """Its mode is ALS's with exponent 0; both get there from different starts."""
    ratings, _ = synthetic_ratings()
    regs = {"reg_user": 2.0, "reg_item": 3.0, "reg_user_bias": 1.0, "reg_item_bias": 2.0}
    pmf = PMF(n_factors=4, n_epochs=100, priors="fixed", **regs).train(ratings)
    als = ALS(n_factors=4, n_epochs=100, reg_exponent=0, **regs).train(ratings)
    pairs = ratings.users, ratings.items
    assert pmf.predict(*pairs) == pytest.approx(als.predict(*pairs), abs=0.01)


def test_factors_can_be_kept_from_going_below_zero() -> None:
    ratings, _ = synthetic_ratings()
    model = ALS(n_factors=5, nonnegative=True, reg_user=0.05, reg_item=0.05, n_epochs=15)
    training = model.begin(ratings)
    values = []
    for _ in range(15):
        training.step()
        values.append(objective(training.factors(), ratings, model))
    factors = training.factors()
    assert factors.user_factors.min() >= 0 and factors.item_factors.min() >= 0
    assert factors.user_factors.max() > 0 and factors.item_factors.max() > 0
    assert (np.diff(values) <= 1e-5 * values[0]).all()


def test_non_negative_rows_are_the_constrained_least_squares_solution() -> None:
    """One side fixed, the other's rows agree with scipy's solver."""
    ratings, _ = synthetic_ratings(n_users=50, n_items=40)
    model = ALS(n_factors=4, nonnegative=True, reg_user=0.3, reg_user_bias=0.2, reg_exponent=0)
    training = model.begin(ratings)
    for _ in range(3):
        training.step()
    factors = training.factors()
    spread = float(np.std(ratings.values, dtype=np.float64))
    for user in range(0, 50, 5):
        rows = np.flatnonzero(ratings.users == user)
        items = ratings.items[rows]
        ones = np.ones(len(rows))
        target = ratings.values[rows] - factors.global_mean - factors.item_bias[items].astype(float)
        # The bias is free: the difference of two that are not negative.
        design = np.column_stack([factors.item_factors[items].astype(float), ones, -ones])
        ridge = np.zeros((5, 6))
        ridge[:, :5] = np.diag(np.sqrt([0.3 * spread] * 4 + [0.2]))
        ridge[4, 5] = -ridge[4, 4]
        solution = nnls(np.vstack([design, ridge]), np.append(target, np.zeros(5)))[0]
        assert factors.user_factors[user] == pytest.approx(solution[:4], abs=2e-3)
        assert factors.user_bias[user] == pytest.approx(solution[4] - solution[5], abs=2e-3)
