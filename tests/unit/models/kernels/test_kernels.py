import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.models.kernels.primitives import LANES
from mfcore.models.kernels.random import normal_pair
from mfcore.models.kernels.sgd import GRID, balanced_groups, places_of, sort_into_blocks
from mfcore.models.kernels.sparse import compress
from mfcore.models.kernels.systems import padded


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


def test_blocks_of_a_round_share_no_row_and_hold_every_rating_once() -> None:
    random = np.random.default_rng(0)
    users, items = random.integers(0, 300, 5000).astype(np.int32), random.integers(0, 90, 5000).astype(np.int32)
    values = np.arange(5000, dtype=np.float32)
    groups = []
    for codes, n in ((users, 300), (items, 90)):
        counts = np.bincount(codes, minlength=n)
        groups.append(balanced_groups(counts, np.argsort(-counts, kind="stable")))
        load = np.bincount(groups[-1], weights=counts, minlength=GRID)
        assert load.max() - load.min() <= counts.max()
    starts, u, i, v = sort_into_blocks(users, items, values, *groups)
    assert sorted(v.tolist()) == values.tolist()
    places = [places_of(group) for group in groups]
    for place, group in zip(places, groups, strict=True):
        assert sorted(place) == list(range(len(group)))
        assert (np.diff(group[np.argsort(place)].astype(int)) >= 0).all()
    assert (places[0][users[v.astype(int)]] == u).all() and (places[1][items[v.astype(int)]] == i).all()
    for shift in range(GRID):
        blocks = [group * GRID + (group + shift) % GRID for group in range(GRID)]
        for codes in (u, i):
            rows = [set(codes[starts[block] : starts[block + 1]].tolist()) for block in blocks]
            assert sum(map(len, rows)) == len(set().union(*rows))


def test_normal_numbers_are_normal() -> None:
    from scipy.stats import kstest

    draws = np.array([normal_pair(np.uint64(state)) for state in range(20_000)])
    assert kstest(draws.ravel(), "norm").pvalue > 0.001
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.03


def test_rows_are_padded_to_whole_registers() -> None:
    assert [padded(k) for k in (1, LANES, LANES + 1)] == [LANES, LANES, 2 * LANES]
