"""Seconds and peak memory of each stage as data grow: `python -m tests.benchmarks.edge [--shapes 1m 10m 100m]`.

Runs the chain on synthetic ratings in the shape of Netflix's, at a hundredth and a tenth of its users and ratings and
whole, each in a process of its own and in an empty home, without an orchestrator. Studies are on a twentieth of the
users and have three trials for each objective; lists are made for everybody. Memory is the resident memory of the
process and its workers, looked at ten times a second; pages of mapped files count.

With `--training` it is training alone, of 32 factors on all ratings: seconds of a sweep of ALS and of an epoch of SGD,
the median of those within three seconds but the first, and the memory of another fit and its ratings.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mfcore.config import PipelineConfig
from mfcore.data.ratings import Ratings
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS, SGD
from mfcore.settings import Settings, sqlite_uri
from mfcore.stages.context import Context
from mfcore.stages.pipeline import run_pipeline
from mfcore.stages.table import Stage

SHAPES = {"1m": (4_800, 17_770, 1_000_000), "10m": (48_000, 17_770, 10_000_000), "100m": (480_000, 17_770, 100_000_000)}
SETTINGS = ("tuning.rating=als", "tuning.ranking=als", "tuning.n_trials=3", "tuning.max_epochs=8", "export.n_reasons=0")
LEAST_USERS = 1000
"""That studies are on, of small data."""


class Watch:
    """The most memory that was resident since it was last asked."""

    def __init__(self) -> None:
        self._own, self.peak, self._over = psutil.Process(), 0, threading.Event()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Look on while the block runs."""
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self) -> None:
        while True:
            resident = self._own.memory_info().rss
            for process in self._own.children(recursive=True):
                try:
                    # A child that is not its own program yet has this process's memory, which counts already.
                    if process.cmdline() != self._own.cmdline():
                        resident += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, resident)
            if self._over.wait(0.1):
                return


def chain(shape: str) -> None:
    """Run the chain and say what each stage took, a line of JSON each."""
    users, items, ratings = SHAPES[shape]
    dataset = f"dataset.name=synthetic:users={users},items={items},ratings={ratings}"
    sample = f"tuning.sample={max(LEAST_USERS, users // 20)}"
    config = PipelineConfig.load(overrides=[dataset, sample, *SETTINGS])
    watch = Watch()

    def run_stage(stage: Stage[Any], context: Context, given: Any) -> Any:
        watch.peak, started = 0, time.perf_counter()
        output = stage.run(context, given)
        row = {"stage": stage.name, "seconds": time.perf_counter() - started, "gb": watch.peak / 1e9}
        print(json.dumps(row), flush=True)
        return output

    with tempfile.TemporaryDirectory(prefix="mfcore-edge-") as folder, watch.on():
        place = Path(folder)
        uri = sqlite_uri(place / "mlruns" / "mlflow.db")
        settings = Settings(place / "home", uri, place / "mlruns", place / "exports")
        run_pipeline(Context(config, settings=settings), run_stage)


def training(shape: str) -> None:
    """Train on ratings of a shape, and say what a sweep takes, a line of JSON for each algorithm."""
    users, items, n = SHAPES[shape]
    synthetic = synthesize(users, items, n)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    del synthetic
    for model in (ALS, SGD):
        model(n_factors=32, n_epochs=1).train(ratings.take(np.arange(1000)))  # kernels compile or load
        watch = Watch()
        seconds: list[float] = []
        with watch.on():
            model(n_factors=32, n_epochs=1).train(ratings)
        fit = model(n_factors=32).begin(ratings)
        while len(seconds) < 3 or sum(seconds) < 3:
            started = time.perf_counter()
            fit.step()
            seconds.append(time.perf_counter() - started)
        row = {"stage": model.algorithm, "seconds": statistics.median(seconds[1:]), "gb": watch.peak / 1e9}
        print(json.dumps(row), flush=True)


def main() -> None:
    """Print a table with a column for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["1m", "10m"], choices=SHAPES)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--in-process", choices=SHAPES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_process:
        (training if arguments.training else chain)(arguments.in_process)
        return
    found: dict[str, dict[str, str]] = {}
    for shape in arguments.shapes:
        command = [sys.executable, "-m", "tests.benchmarks.edge", "--in-process", shape]
        command += ["--training"] * arguments.training
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            rows = []
            for line in process.stdout:
                print(shape, line, end="", file=sys.stderr, flush=True)
                rows.append(json.loads(line))
        if process.returncode:
            sys.exit(f"{shape}: the chain ended with {process.returncode}")
        if not arguments.training:
            seconds, gb = sum(row["seconds"] for row in rows), max(row["gb"] for row in rows)
            rows.append({"stage": "all", "seconds": seconds, "gb": gb})
        for row in rows:
            found.setdefault(row["stage"], {})[shape] = f"{row['seconds']:.3g} s, {row['gb']:.1f} GB"
    print(f"| stage | {' | '.join(arguments.shapes)} |\n|---|{'---|' * len(arguments.shapes)}")
    for stage, cells in found.items():
        print(f"| {stage} | {' | '.join(cells[shape] for shape in arguments.shapes)} |")


if __name__ == "__main__":
    main()
