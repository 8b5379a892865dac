"""What logging trials costs: `python -m tests.benchmarks.tracking`, on MovieLens 100K.

Sixty trials are searched, each logged into a SQLite store as it ends. The first figure is the
time spent in logging as a share of the time spent in everything else, which is to be 10 % at
most; the others are what a store with a thousand trials takes to look through.
"""

import tempfile
import time
from pathlib import Path

from mfcore.config import DatasetConfig, SplitConfig, TuningConfig
from mfcore.data import readers, sources
from mfcore.data.catalog import resolve
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import split
from mfcore.settings import Settings
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Trial, tune

__all__ = ["main"]

_N_TRIALS = 20
_MANY = 1000


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="mfcore-") as scratch:
        folder = Path(scratch)
        (folder / "raw").mkdir()
        (folder / "mlruns").mkdir()
        config = DatasetConfig(name="ml-100k")
        details = sources.fetch(resolve(config), folder / "raw", Settings.read().home / "downloads", progress=False)
        ratings = Ratings.from_frame(readers.read(folder / "raw", details, config).ratings, Scale(1, 5, 1))
        parts = split(ratings, SplitConfig())
        train, validation = ratings.take(parts.train), ratings.take(parts.validation)
        store = {"MFCORE_HOME": scratch, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"}
        experiment = Experiment(Settings.read(store), "ml-100k")
        parent = experiment.start("benchmark")
        spent: list[float] = []

        def log(trial: Trial) -> None:
            started = time.perf_counter()
            experiment.log_trial(trial, "benchmark", parent, {})
            spent.append(time.perf_counter() - started)

        tuning = TuningConfig(n_trials=_N_TRIALS)
        for algorithm in tuning.algorithms:  # compiles
            warm = tuning.model_copy(update={"n_trials": 1, "max_epochs": 2})
            tune(algorithm, train, validation, warm, folder / f"warm-{algorithm}.log", log)
        spent.clear()
        started, found = time.perf_counter(), []
        for algorithm in tuning.algorithms:
            found += tune(algorithm, train, validation, tuning, folder / f"{algorithm}.log", log).trials
        rest = time.perf_counter() - started - sum(spent)
        print(f"{len(spent)} trials: tuning {rest:.2f} s, logging {sum(spent):.2f} s, {sum(spent) / rest:.1%} of it")
        for number in range(_MANY):
            experiment.log_trial(found[number % len(found)].model_copy(update={"number": number}), "many", parent, {})
        started = time.perf_counter()
        logged = experiment.logged_trials("many")
        print(f"finding {len(logged)} logged trials: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
