"""What lists cost: `python -m tests.benchmarks.export [--users 70000 --items 10700 --ratings 10000000]`.

The first table is an export of a model of 64 factors for either head, one format, 20 recommendations with two reasons
for each user and 50 similar items for each item: seconds, and the most memory the process held, the model included.
The second is lists of 20 alone, for 20,000 users of 30,000 items, rated items left out: seconds beside those of the
bare product of the same blocks of factors, and of implicit's `recommend` where it is installed, in turns, best of
three. Each is a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mfcore.bench.peers import installed
from mfcore.config import ExportConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.machine import one_blas_thread
from mfcore.models import ALS
from mfcore.models.kernels.threads import share
from mfcore.models.lists import BLOCK_COLUMNS, BLOCK_ROWS, top_n
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems
from mfcore.serving.export import export_model
from tests.benchmarks.edge import Watch

K = 64
LISTS = (20_000, 30_000, 2_000_000)
"""Users, items and ratings of the second table."""


def drawn(users: int, items: int, ratings: int) -> Ratings:
    synthetic = synthesize(users, items, ratings, seed=0, scale=Scale(1, 5, 1))
    return Ratings.from_frame(synthetic.frame, synthetic.scale)


def train(folder: Path, users: int, items: int, ratings: int) -> None:
    """Save a model that was trained for two epochs."""
    data = drawn(users, items, ratings)
    rating, ranking = ALS(n_factors=K, n_epochs=2), ALS(n_factors=K, n_epochs=2, missing_weight=0.2)
    Model.of(rating.train(data), data, None, ranking.train(data)).save(folder)


def export(folder: Path, form: str) -> dict[str, Any]:
    """Seconds and gigabytes of an export of the model in `folder`."""
    config = ExportConfig(format=(form,), n_recommendations=20, n_similar=50)
    watch = Watch()
    with watch.on(), tempfile.TemporaryDirectory() as scratch:
        model = Model.load(folder)
        started = time.perf_counter()
        export_model(model, Path(scratch) / "export", {"model_version": 1}, config)
        return {"seconds": time.perf_counter() - started, "gb": watch.peak / 1e9}


def lists() -> dict[str, float]:
    """Seconds of everybody's lists by each."""
    data = drawn(*LISTS)
    factors, rated = ALS(n_factors=K, n_epochs=2, missing_weight=0.2).train(data), RatedItems.of(data)
    users = np.arange(data.n_users, dtype=np.int32)

    def product() -> None:
        def blocks(first: int, last: int) -> None:
            for row in range(first * BLOCK_ROWS, last * BLOCK_ROWS, BLOCK_ROWS):
                x = factors.user_factors[row : row + BLOCK_ROWS]
                for column in range(0, data.n_items, BLOCK_COLUMNS):
                    x @ factors.item_factors[column : column + BLOCK_COLUMNS].T

        with one_blas_thread():
            share(-(-data.n_users // BLOCK_ROWS), blocks)

    entrants: dict[str, Callable[[], object]] = {"mfcore": lambda: top_n(factors, users, 20, rated), "product": product}
    if installed("implicit"):
        import scipy.sparse as sp
        from implicit.als import AlternatingLeastSquares

        theirs = AlternatingLeastSquares(factors=K)
        theirs.user_factors, theirs.item_factors = factors.user_factors, factors.item_factors
        places = np.ones(len(data), np.float32), (data.users, data.items)
        matrix = sp.csr_matrix(places, shape=(data.n_users, data.n_items))

        def recommend() -> None:
            with threadpool_limits(1, "blas"):  # as implicit itself advises
                theirs.recommend(users, matrix, N=20)

        entrants["implicit"] = recommend
    taken: dict[str, list[float]] = {name: [] for name in entrants}
    for _ in range(3):
        for name, make in entrants.items():
            started = time.perf_counter()
            make()
            taken[name].append(time.perf_counter() - started)
    return {name: min(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=70_000)
    parser.add_argument("--items", type=int, default=10_700)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    parser.add_argument("--formats", nargs="+", default=["parquet", "csv", "npz"])
    parser.add_argument("--in-process", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = [str(number) for number in (arguments.users, arguments.items, arguments.ratings)]
    if arguments.in_process:
        what, *given = arguments.in_process
        steps: dict[str, Callable[[], object]] = {
            "train": lambda: train(Path(given[0]), *map(int, given[1:])),
            "export": lambda: export(Path(given[0]), given[1]),
            "lists": lists,
        }
        print(json.dumps(steps[what]()))
        return
    with tempfile.TemporaryDirectory(prefix="mfcore-export-") as folder:
        in_a_process("train", folder, *shape)
        print("| export | seconds | GB |\n|---|---|---|")
        for form in arguments.formats:
            found = in_a_process("export", folder, form)
            print(f"| {form} | {found['seconds']:.1f} | {found['gb']:.2f} |", flush=True)
    print("\n| lists | seconds |\n|---|---|")
    for name, seconds in in_a_process("lists").items():
        print(f"| {name} | {seconds:.2f} |")


def in_a_process(*arguments: str) -> dict[str, Any]:
    """What a step gives."""
    command = [sys.executable, "-m", "tests.benchmarks.export", "--in-process", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
