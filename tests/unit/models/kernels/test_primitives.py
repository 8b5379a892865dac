"""The hot loops in both their forms against NumPy, and what is used where the tiles can't be."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

from mfcore.models.kernels import plain, tiles

FAULTS = {
    "none": "",
    "refused": """
import numba.extending
def intrinsic(function):
    raise NotImplementedError("there are no intrinsics any more")
numba.extending.intrinsic = intrinsic
""",
    "wrong": """
import functools, numba, numba.extending
real = numba.extending.intrinsic
def intrinsic(function):
    @functools.wraps(function)
    def idle(*types):
        signature, _ = function(*types)
        kind = signature.return_type
        nothing = kind is numba.types.void
        return signature, lambda context, *rest: (
            context.get_dummy_value() if nothing else context.get_constant_null(kind)
        )
    return real(idle)
numba.extending.intrinsic = intrinsic
""",
}
"""What may be wrong with a Numba to come: it refuses the tiles, or makes something else of them."""


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (2, 1), (2, 4), (4, 2), (4, 3), (8, 3)])
@pytest.mark.parametrize("loops", [tiles, plain])
def test_a_tile_is_a_sum_of_outer_products(loops: ModuleType, rows: int, vectors: int, subtract: bool) -> None:
    tile = loops.make_tile(rows, vectors, subtract)

    @numba.njit
    def run(out, a, b, n):  # type: ignore[no-untyped-def]
        tile(out, 5, 100, a, 3, 20, b, 7, 90, n)

    random = np.random.default_rng(0)
    for n in (0, 1, 17):
        out, a, b = (random.normal(size=size).astype(np.float32) for size in (2000, 2000, 4000))
        before = out.copy()
        run(out, a, b, n)
        width = vectors * loops.LANES
        left = np.array([[a[3 + p * 20 + r] for r in range(rows)] for p in range(n)], float).reshape(n, rows)
        right = np.array([b[7 + p * 90 : 7 + p * 90 + width] for p in range(n)], float).reshape(n, width)
        expected = before.copy()
        for r in range(rows):
            expected[5 + r * 100 : 5 + r * 100 + width] += (-1 if subtract else 1) * (left[:, r] @ right)
        assert out == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("loops", [tiles, plain])
def test_a_block_is_factored_and_solved_with(loops: ModuleType) -> None:
    rows, lanes = loops.ROWS, loops.LANES
    pivots, substitute, dots = loops.make_pivots(rows), loops.make_substitution(rows), loops.make_dots(rows)

    @numba.njit
    def run(block, upper, reciprocal, out, products):  # type: ignore[no-untyped-def]
        pivots(block, 3, 20, upper, 0, reciprocal, 0)
        substitute(out, 5, 30, upper, 0, reciprocal, 0)
        dots(products, 0, out, 5, 30, out, 5, lanes)

    random = np.random.default_rng(0)
    half = random.normal(size=(rows, 3 * rows))
    matrix = half @ half.T
    block, out = np.zeros(200, np.float32), random.normal(size=600).astype(np.float32)
    for r in range(rows):
        block[3 + r * 20 : 3 + r * 20 + rows] = matrix[r]
    right = np.array([out[5 + r * 30 : 5 + r * 30 + lanes] for r in range(rows)], float)
    upper, reciprocal, products = (np.zeros(size, np.float32) for size in (rows * rows, rows, rows))
    run(block, upper, reciprocal, out, products)
    expected = np.linalg.cholesky(matrix).T
    assert 1 / reciprocal == pytest.approx(np.diag(expected), rel=1e-4)
    assert np.triu(upper.reshape(rows, rows), 1) == pytest.approx(np.triu(expected, 1), abs=1e-4)
    solved = np.linalg.solve(expected.T, right)
    assert np.array([out[5 + r * 30 : 5 + r * 30 + lanes] for r in range(rows)]) == pytest.approx(solved, abs=1e-4)
    assert products == pytest.approx(solved @ solved[0], abs=1e-4)


@pytest.mark.parametrize("n_vectors", [1, 2, 3, 8, 9, 12])
@pytest.mark.parametrize("loops", [tiles, plain])
def test_a_visit_moves_two_rows_by_what_the_other_was(loops: ModuleType, n_vectors: int) -> None:
    visit, n = loops.visit, n_vectors * loops.LANES

    @numba.njit
    def run(x, y, target, step, lost, keep_x, keep_y):  # type: ignore[no-untyped-def]
        return visit(x, 5, y, 9, n, target, step, lost, keep_x, keep_y)

    random = np.random.default_rng(0)
    x, y = (random.normal(size=n + 30).astype(np.float32) for _ in range(2))
    before = x.astype(float), y.astype(float)
    target, step, lost, keep_x, keep_y = random.uniform(0.1, 0.9, 5).astype(np.float32)
    dot = run(x, y, target, step, lost, keep_x, keep_y)
    row_x, row_y = before[0][5 : 5 + n], before[1][9 : 9 + n]
    assert dot == pytest.approx(row_x @ row_y, abs=1e-4)
    move = step * target - lost * (row_x @ row_y)
    expected = before[0].copy(), before[1].copy()
    expected[0][5 : 5 + n] = keep_x * row_x + move * row_y
    expected[1][9 : 9 + n] = keep_y * row_y + move * row_x
    assert x == pytest.approx(expected[0], abs=1e-3)
    assert y == pytest.approx(expected[1], abs=1e-3)


def in_child(code: str, fault: str, cache: Path) -> str:
    """What `code` prints in a process with the fault, and with a cache of its own, since code is cached by name."""
    environment = {"NUMBA_CACHE_DIR": str(cache), "PATH": ""}
    command = [sys.executable, "-c", FAULTS[fault] + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("fault", "told"), [("refused", "there are no intrinsics any more"), ("wrong", "compute something else")]
)
def test_plain_loops_take_the_place_of_tiles_that_fail(fault: str, told: str, tmp_path: Path) -> None:
    said = in_child(
        """
from mfcore.models.kernels import plain, primitives
assert primitives.make_tile is plain.make_tile and primitives.prefetch is plain.prefetch
""",
        fault,
        tmp_path,
    )
    assert said.count("train slower") == 1
    assert told in said


@pytest.mark.slow
def test_both_train_models_of_the_same_scores(tmp_path: Path) -> None:
    code = f"""
import time
import numpy as np
import pandas as pd
import mfcore
random = np.random.default_rng(0)
x, y = random.normal(size=(600, 8)), random.normal(size=(300, 8))
users, items = np.divmod(random.choice(600 * 300, 30_000, replace=False), 300)
values = np.clip(3 + (x[users] * y[items]).sum(axis=1) / 2, 1, 5)
ratings = mfcore.load(pd.DataFrame({{"user_id": users, "item_id": items, "rating": np.round(values)}}))
for model in (
    mfcore.ALS(n_factors=20, n_epochs=5),
    mfcore.ALS(n_factors=64, n_epochs=5, missing_weight=0.1),
    mfcore.PMF(n_factors=10, n_epochs=5),
    mfcore.SGD(n_factors=20, n_epochs=20),
):
    model.model_copy(update={{"n_epochs": 1}}).train(ratings)
    began = time.process_time()
    factors = model.train(ratings)
    print(repr(model), "seconds", time.process_time() - began)
    scores = factors.user_factors @ factors.item_factors.T
    assert scores.std() > 0.1
    np.save({str(tmp_path)!r} + f"/{{model.algorithm}}-{{model.n_factors}}-NAME.npy", scores)
"""
    told = {name: in_child(code.replace("NAME", name), name, tmp_path / name) for name in ("none", "refused")}
    print(told)
    found = sorted(tmp_path.glob("*-none.npy"))
    assert len(found) == 4
    for one in found:
        other = np.load(str(one).replace("none", "refused"))
        assert other == pytest.approx(np.load(one), abs=2e-3), one.name
