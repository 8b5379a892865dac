import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.data.ratings import Ratings, Scale
from mfcore.models.kernels.grid import balanced_groups, n_groups_of, places_of, shuffle, sort_into_blocks
from mfcore.models.kernels.layout import Block, Scoring
from mfcore.models.kernels.primitives import LANES
from mfcore.models.kernels.random import normal_pair
from mfcore.models.kernels.rows import squared_error
from mfcore.models.kernels.sparse import compress
from mfcore.models.kernels.systems import padded
from mfcore.models.sides import sides


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20), st.integers(0, 200))
def test_compress_sorts_by_row_and_keeps_the_order_within(seed: int, n_rows: int, n_columns: int, n: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = random.integers(0, n_rows, n).astype(np.int32), random.integers(0, n_columns, n).astype(np.int32)
    values = random.normal(size=n).astype(np.float32)
    starts, sorted_columns, sorted_values = compress(rows, columns, values, n_rows)
    order = np.argsort(rows, kind="stable")
    assert sorted_columns.tolist() == columns[order].tolist()
    assert sorted_values.tolist() == values[order].tolist()
    expected = sp.csr_array((np.ones(n), (rows, columns)), shape=(n_rows, n_columns)).sum(axis=1)
    assert np.diff(starts).tolist() == expected.tolist()


def test_blocks_hold_every_rating_once_and_share_rows_only_with_those_of_their_groups() -> None:
    random = np.random.default_rng(0)
    users, items = random.integers(0, 300, 5000).astype(np.int32), random.integers(0, 90, 5000).astype(np.int32)
    values = np.arange(5000, dtype=np.float32)
    shape, groups = (32, 16), []
    for codes, n, n_groups in ((users, 300, 32), (items, 90, 16)):
        counts = np.bincount(codes, minlength=n)
        groups.append(balanced_groups(counts, np.argsort(-counts, kind="stable"), n_groups))
        load = np.bincount(groups[-1], weights=counts, minlength=n_groups)
        assert load.max() - load.min() <= counts.max()
    places = [places_of(group) for group in groups]
    starts, u, i, v = sort_into_blocks(users, items, values, (groups[0], groups[1]), (places[0], places[1]), shape)
    assert sorted(v.tolist()) == values.tolist()
    for place, group in zip(places, groups, strict=True):
        assert sorted(place) == list(range(len(group)))
        assert (np.diff(group[np.argsort(place)].astype(int)) >= 0).all()
    assert (places[0][users[v.astype(int)]] == u).all() and (places[1][items[v.astype(int)]] == i).all()
    rated = v.astype(int)
    for block in range(32 * 16):
        of_block = rated[starts[block] : starts[block + 1]]
        assert (groups[0][users[of_block]] == block // 16).all() and (groups[1][items[of_block]] == block % 16).all()


def test_groups_of_rows_fit_into_a_cache_and_stay_as_few_as_that_allows() -> None:
    assert [n_groups_of(rows, 64) for rows in (1, 30_000, 70_000, 480_000, 10**8)] == [16, 16, 64, 256, 256]


def test_a_shuffle_keeps_ratings_whole_and_has_every_order_equally_often() -> None:
    orders: dict[tuple[int, ...], int] = {}
    for seed in range(6000):
        users, items = np.arange(3, dtype=np.int32), np.arange(3, dtype=np.int32) + 10
        values = np.arange(3, dtype=np.float32) + 20
        shuffle(users, items, values, np.uint64(seed * 1000))
        assert (items == users + 10).all() and (values == users + 20).all()
        order = tuple(users.tolist())
        orders[order] = orders.get(order, 0) + 1
    assert len(orders) == 6
    assert all(abs(n - 1000) < 150 for n in orders.values())  # five standard deviations


def test_normal_numbers_are_normal() -> None:
    from scipy.stats import kstest

    draws = np.array([normal_pair(np.uint64(state)) for state in range(20_000)])
    assert kstest(draws.ravel(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03


def test_rows_are_padded_to_whole_registers() -> None:
    assert [padded(k) for k in (1, LANES, LANES + 1)] == [LANES, LANES, 2 * LANES]


@pytest.mark.parametrize("missing_weight", [0.0, 0.3])
@pytest.mark.parametrize("with_variance", [False, True])
@pytest.mark.parametrize("logistic", [False, True])
def test_the_loss_is_what_the_squared_errors_are_expected_to_be(
    logistic: bool, with_variance: bool, missing_weight: float
) -> None:
    random = np.random.default_rng(0)
    shape, size = (50, 30), 2 * LANES
    users, items = (code.astype(np.int32) for code in np.divmod(random.choice(1500, 400, replace=False), 30))
    values = random.uniform(size=400).astype(np.float32)
    ratings = Ratings(users, items, values, None, np.arange(50), np.arange(30), Scale(0, 1, None))
    by_user, _ = sides(ratings, values, size)
    own, other = (Block.zeros(n, size, with_variance) for n in shape)
    for block in (own, other):
        block.factors[:] = random.normal(0, 0.3, block.factors.shape)
        block.bias[:] = random.normal(size=len(block.bias))
        block.variance[:] = random.uniform(0, 0.1, block.variance.shape)
    x, y = own.factors[users].astype(float), other.factors[items].astype(float)
    scores = (x * y).sum(axis=1) + own.bias[users] + other.bias[items]
    fits = 1 / (1 + np.exp(-(0.2 + scores))) if logistic else 0.2 + scores
    expected = (values - fits) ** 2 - missing_weight * scores**2
    if with_variance:
        slopes = fits * (1 - fits) if logistic else np.ones(400)
        of_x, of_y = own.variance[users].astype(float), other.variance[items].astype(float)
        spread = (x**2 * of_y + y**2 * of_x + of_x * of_y).sum(axis=1)
        expected += (slopes**2 - missing_weight) * spread
    loss = squared_error(by_user, other, own, Scoring(0.2, logistic), missing_weight)
    assert loss == pytest.approx(expected.sum(), rel=1e-5)
