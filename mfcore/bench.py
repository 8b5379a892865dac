"""`mfcore bench`: the trainers beside the libraries people would otherwise pick, in one run.

Every figure is taken in a process of its own, on the same ratings, with the same number of
factors; libraries take turns, several rounds, and the fastest round counts. The time of one
sweep is the difference between a longer and a shorter fit over the epochs between them, so that
preparation is no part of it. Peers that are not installed (extra `bench`) are left out and named.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.files import write_file
from mfcore.metrics import rmse
from mfcore.models import Recipe

__all__ = ["RECIPES", "SHAPES", "accuracy", "planted", "save", "speed", "table"]

SHAPES = {"ml-100k": (943, 1_682, 100_000), "ml-1m": (6_040, 3_700, 1_000_000), "ml-10m": (70_000, 10_700, 10_000_000)}
"""Users, items, ratings of the planted data that speed is measured on."""

RECIPES = {
    "als": Recipe(
        algorithm="als",
        params={
            "n_factors": 128,
            "n_epochs": 4,
            "reg_exponent": 0.453,
            "reg_user": 2.47,
            "reg_item": 0.75,
            "reg_user_bias": 0.0035,
            "reg_item_bias": 0.677,
        },
    ),
    "sgd": Recipe(
        algorithm="sgd",
        params={
            "n_factors": 128,
            "n_epochs": 45,
            "learning_rate": 0.0955,
            "decay": 0.858,
            "reg_user": 0.163,
            "reg_item": 0.0309,
            "reg_user_bias": 0.00834,
            "reg_item_bias": 0.0203,
        },
    ),
    "pmf, fixed priors": Recipe(
        algorithm="pmf",
        params={"priors": "fixed", "n_factors": 64, "reg_user": 40.0, "reg_item": 3.0, "n_epochs": 5},
    ),
    "pmf": Recipe(algorithm="pmf"),
    "bpmf": Recipe(algorithm="bpmf"),
    "knn": Recipe(algorithm="knn"),
    "blend": Recipe(algorithm="blend"),
    "bias": Recipe(algorithm="bias"),
}
"""Recipes whose 5-fold accuracy is measured, with hyper-parameters as tuning found them on ML-100K."""

_EPOCHS = 2, 6
"""Epochs of the shorter and of the longer fit."""
_CONTESTS = {
    "als": ("mfcore", "cmfrec", "lenskit", "implicit"),
    "sgd": ("mfcore", "cornac", "surprise"),
    "bpmf": ("mfcore",),
}
"""Whom each algorithm is measured against; implicit's problem is another one, of the same shape."""
_LIBRARIES = sorted({library for contest in _CONTESTS.values() for library in contest})


def speed(
    shapes: Iterable[str] = tuple(SHAPES),
    n_factors: int = 64,
    rounds: int = 3,
    algorithms: Iterable[str] = tuple(_CONTESTS),
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure seconds a sweep, updates a second, useful flops and peak memory.

    Args:
        shapes: which of `SHAPES`.
        n_factors: k.
        rounds: times that each library has its turn.
        algorithms: which of "als", "sgd" and "bpmf".
        tell: gets a line for each measurement.

    Returns:
        {"machine": …, "missing": [library, …], "results": [{"shape", "algorithm", "library", "seconds", …}, …]}.
        `useful_gflops` counts n·k² a side and k³/3 a row for ALS; `peak_bytes_a_rating` is what the
        process grew by at most while it trained.
    """
    results = []
    present = {library: find_spec(library) is not None for library in _LIBRARIES}
    for shape in shapes:
        with tempfile.TemporaryDirectory(prefix="mfcore-bench-") as folder:
            ratings = planted(shape)
            for name in ("users", "items", "values"):
                np.save(Path(folder) / f"{name}.npy", getattr(ratings, name), allow_pickle=False)
            for algorithm in algorithms:
                libraries = [library for library in _CONTESTS[algorithm] if present[library]]
                taken: dict[str, list[dict[str, float]]] = {library: [] for library in libraries}
                for _ in range(rounds):
                    for library in libraries:
                        taken[library].append(_in_a_process(algorithm, library, n_factors, Path(folder)))
                        tell(f"{shape} {algorithm} {library}: {taken[library][-1]}")
                results += [
                    {
                        "shape": shape,
                        "algorithm": algorithm,
                        "library": library,
                        **_derived(algorithm, SHAPES[shape], n_factors, fits),
                    }
                    for library, fits in taken.items()
                ]
    machine = {"cores": len(os.sched_getaffinity(0)), "sgemm_gflops": _sgemm_gflops(), "n_factors": n_factors}
    return {"machine": machine, "missing": [one for one, there in present.items() if not there], "results": results}


def accuracy(
    ratings: Ratings,
    recipes: Mapping[str, Recipe] = RECIPES,
    n_folds: int = 5,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Mean test RMSE over `n_folds` folds, {"rmse": {name: …}, "folds": {name: […]}, "recipes": {name: …}}."""
    from mfcore.data.splitting import split

    folds: dict[str, list[float]] = {name: [] for name in recipes}
    for fold in range(n_folds):
        config = SplitConfig(method="k-fold", n_folds=n_folds, fold=fold, seed=seed)
        parts = split(ratings, config)
        rest = ratings.take(np.sort(np.concatenate([parts.train, parts.validation])))
        test = ratings.take(parts.test)
        for name, recipe in recipes.items():
            factors = recipe.build().fit(rest)
            folds[name].append(rmse(factors.predict(test.users, test.items), test.values))
            tell(f"fold {fold} {name}: {folds[name][-1]:.4f}")
    return {
        "rmse": {name: float(np.mean(values)) for name, values in folds.items()},
        "folds": folds,
        "recipes": {name: recipe.model_dump() for name, recipe in recipes.items()},
    }


def table(result: Mapping[str, Any]) -> str:
    """A Markdown table of what `speed` or `accuracy` returned."""
    if "rmse" in result:
        rows = [f"| {name} | {value:.4f} |" for name, value in result["rmse"].items()]
        return "\n".join(["| model | RMSE |", "|---|---|", *rows]) + "\n"
    head = "| data | algorithm | library | s a sweep | million updates/s | useful GFLOP/s | bytes a rating |"
    rows = [
        f"| {one['shape']} | {one['algorithm']} | {one['library']} | {one['seconds']:.4f} "
        f"| {one['updates_a_second'] / 1e6:.1f} | {one['useful_gflops']:.1f} | {one['peak_bytes_a_rating']:.0f} |"
        for one in result["results"]
    ]
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows]) + "\n"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a result as JSON, and its table beside it as Markdown."""
    write_file(path, json.dumps(result, indent=2) + "\n")
    write_file(path.with_suffix(".md"), table(result))


def planted(shape: str) -> Ratings:
    """Planted ratings of one of `SHAPES`, skewed as real ones are."""
    from mfcore.data.synthetic import synthesize

    planted = synthesize(*SHAPES[shape], seed=0, scale=Scale(1, 5, 1))
    return Ratings.from_frame(planted.frame, planted.scale)


def _derived(
    algorithm: str, shape: tuple[int, int, int], k: int, fits: list[dict[str, float]]
) -> dict[str, float | list[float]]:
    n_users, n_items, n = shape
    seconds = min(fit["seconds"] for fit in fits)
    flops = 6.0 * n * k if algorithm == "sgd" else 2.0 * n * k**2 + (n_users + n_items) * k**3 / 3
    return {
        "seconds": seconds,
        "rounds": [fit["seconds"] for fit in fits],
        "updates_a_second": n / seconds,
        "useful_gflops": flops / seconds / 1e9,
        "peak_bytes_a_rating": min(fit["peak_bytes"] for fit in fits) / n,
    }


def _in_a_process(algorithm: str, library: str, n_factors: int, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "mfcore.bench", algorithm, library, str(n_factors), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measure(algorithm: str, library: str, n_factors: int, folder: Path) -> dict[str, float]:
    """Time a sweep of one library, in a process that does nothing else."""
    users, items, values = (
        np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("users", "items", "values")
    )
    prepare = _FITS[algorithm, library]
    prepare(users[:2000], items[:2000], values[:2000], n_factors)(1)  # whatever compiles or loads late
    fit = prepare(users, items, values, n_factors)
    _restart_peak()
    before = _memory("VmRSS")
    seconds = []
    for n_epochs in _EPOCHS:
        start = time.perf_counter()
        fit(n_epochs)
        seconds.append(time.perf_counter() - start)
    peak = _memory("VmHWM") - before
    return {"seconds": (seconds[1] - seconds[0]) / (_EPOCHS[1] - _EPOCHS[0]), "peak_bytes": peak}


Fit = Callable[[int], object]
Prepare = Callable[[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], int], Fit]


def _ours(algorithm: str) -> Prepare:
    def prepare(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
        n_users, n_items = np.arange(users.max() + 1), np.arange(items.max() + 1)
        ratings = Ratings(users, items, values, None, n_users, n_items, Scale(1, 5, 1))
        recipe = Recipe(algorithm=algorithm, params={"n_factors": k})

        def fit(n_epochs: int) -> object:
            training = recipe.build().begin(ratings)
            for _ in range(n_epochs):
                training.step()
            return training

        return fit

    return prepare


def _cmfrec(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
    import cmfrec
    import scipy.sparse as sp

    matrix = sp.coo_matrix((values, (users, items)))
    return lambda n: cmfrec.CMF(
        k=k, lambda_=10.0, niter=n, method="als", use_cg=False, use_float=True, verbose=False,
        precompute_for_predictions=False, nthreads=len(os.sched_getaffinity(0)),
    ).fit(matrix)  # fmt: skip


def _lenskit(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
    import pandas as pd
    from lenskit.als import BiasedMFScorer
    from lenskit.data import from_interactions_df

    data = from_interactions_df(pd.DataFrame({"user_id": users, "item_id": items, "rating": values}))
    return lambda n: BiasedMFScorer(embedding_size=k, epochs=n).train(data)


def _implicit(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
    import scipy.sparse as sp
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    matrix = sp.coo_matrix((values, (users, items))).tocsr()

    def fit(n: int) -> object:
        model = AlternatingLeastSquares(
            factors=k, iterations=n, use_cg=False, num_threads=len(os.sched_getaffinity(0)), random_state=0
        )
        with threadpool_limits(1, "blas"):
            return model.fit(matrix, show_progress=False)

    return fit


def _cornac(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
    from cornac.data import Dataset
    from cornac.models import MF

    data = Dataset.from_uir(list(zip(users.tolist(), items.tolist(), values.tolist(), strict=True)))
    return lambda n: MF(
        k=k, max_iter=n, learning_rate=0.01, lambda_reg=0.05, use_bias=True, early_stop=False,
        num_threads=len(os.sched_getaffinity(0)), seed=0,
    ).fit(data)  # fmt: skip


def _surprise(users: NDArray[np.int32], items: NDArray[np.int32], values: NDArray[np.float32], k: int) -> Fit:
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": users, "item": items, "rating": values})
    data = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5))).build_full_trainset()
    return lambda n: SVD(n_factors=k, n_epochs=n, random_state=0).fit(data)


_FITS: dict[tuple[str, str], Prepare] = {
    ("als", "mfcore"): _ours("als"),
    ("sgd", "mfcore"): _ours("sgd"),
    ("bpmf", "mfcore"): _ours("bpmf"),
    ("als", "cmfrec"): _cmfrec,
    ("als", "lenskit"): _lenskit,
    ("als", "implicit"): _implicit,
    ("sgd", "cornac"): _cornac,
    ("sgd", "surprise"): _surprise,
}


def _sgemm_gflops(size: int = 2048) -> float:
    """What the linear algebra library reaches on all cores: the best of five products."""
    square = np.ones((size, size), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        square @ square
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def _restart_peak() -> None:
    """Have the kernel count the peak from here."""
    Path("/proc/self/clear_refs").write_text("5")


def _memory(field: str) -> int:
    """Bytes of this process: VmRSS, resident now, or VmHWM, resident at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    algorithm, library, n_factors, folder = sys.argv[1:]
    print(json.dumps(_measure(algorithm, library, int(n_factors), Path(folder))))
