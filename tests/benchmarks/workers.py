"""How much faster two workers finish a study than one: `python -m tests.benchmarks.workers [--trials 40]`.

ALS on synthetic ratings of MovieLens 1M's shape. The trials are the same each time (random search);
their time is what counts, from reading nothing but arrays in memory to the result, workers' start
included. One worker is measured on one core and with both.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mfcore.config import SplitConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.tuning import tune

MODES = {"one worker, one core": (1, "1"), "one worker, two cores": (1, "2"), "two workers, two cores": (2, "2")}
"""Workers, and cores they may use together."""


def measure(n_workers: int, n_trials: int) -> float:
    """Seconds that a study takes."""
    synthetic = synthesize(6_040, 3_700, 1_000_000)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    parts = split(ratings, SplitConfig())
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    config = TuningConfig(sampler="random", n_trials=n_trials, n_workers=n_workers)
    with tempfile.TemporaryDirectory() as folder:
        # What is compiled or loaded once a process is no part of it.
        tune("als", train, validation, config.model_copy(update={"n_trials": 1}), Path(folder) / "warm.log")
        started = time.perf_counter()
        tuned = tune("als", train, validation, config, Path(folder) / "study.log")
        seconds = time.perf_counter() - started
    print(f"  {len(tuned.trials)} trials, best {tuned.metric_name} {tuned.value:.4f}", file=sys.stderr)
    return seconds


def main() -> None:
    """Measure each mode in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--only", choices=MODES)
    arguments = parser.parse_args()
    if arguments.only:
        print(measure(MODES[arguments.only][0], arguments.trials))
        return
    cores = sorted(os.sched_getaffinity(0))
    taken = {}
    for mode, (_, n_cores) in MODES.items():
        command = [sys.executable, "-m", "tests.benchmarks.workers", "--only", mode, "--trials", str(arguments.trials)]
        done = subprocess.run(
            command,
            env={**os.environ, "NUMBA_NUM_THREADS": n_cores},
            preexec_fn=lambda n=int(n_cores): os.sched_setaffinity(0, cores[:n]),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        taken[mode] = float(done.stdout)
        print(f"{mode}: {taken[mode]:.1f} s", flush=True)
    two = taken["two workers, two cores"]
    for mode in list(MODES)[:2]:
        print(f"two workers are {taken[mode] / two:.2f} times as fast as {mode}")


if __name__ == "__main__":
    main()
