"""What logging trials costs: `python -m tests.benchmarks.tracking`, on MovieLens 100K.

The same sixty trials are searched without and with logging into a SQLite store, in turns. The
first figure is how much longer the search takes with it, until the last run is in the store, which
is to be 10 % at most; the second is how long trials waited for it. The last one is what a store
with a thousand trials takes to look through.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
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
_N_ROUNDS = 5
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
        tuning, found = TuningConfig(n_trials=_N_TRIALS), []

        def search(name: str, log: Callable[[Trial], None], end: Callable[[], None]) -> float:
            """Seconds that the studies of all algorithms take, logging included."""
            found.clear()
            started = time.perf_counter()
            for algorithm in tuning.algorithms:
                found.extend(tune(algorithm, train, validation, tuning, folder / f"{name}-{algorithm}.log", log).trials)
            end()
            return time.perf_counter() - started

        for algorithm in tuning.algorithms:  # compiles
            warm = tuning.model_copy(update={"n_trials": 1, "max_epochs": 2})
            tune(algorithm, train, validation, warm, folder / f"warm-{algorithm}.log", lambda trial: None)
        plain, logged, waited = [], [], 0.0
        for turn in range(_N_ROUNDS):
            plain.append(search(f"plain-{turn}", lambda trial: None, lambda: None))
            study = f"logged-{turn}"

            def log(trial: Trial, study: str = study) -> None:
                nonlocal waited
                started = time.perf_counter()
                experiment.log_trial(trial, study, parent, {})
                waited += time.perf_counter() - started

            logged.append(search(study, log, experiment.flush))
        without, extra = statistics.median(plain), statistics.median(b - a for a, b in zip(plain, logged, strict=True))
        print(f"{len(found)} trials: tuning {without:.2f} s, logging {extra:.2f} s more, {extra / without:.1%} of it")
        print(f"trials waited {waited / _N_ROUNDS / len(found) * 1000:.2f} ms each")
        for number in range(_MANY):
            experiment.log_trial(found[number % len(found)].model_copy(update={"number": number}), "many", parent, {})
        experiment.flush()
        started = time.perf_counter()
        numbers = experiment.logged_trials("many")
        print(f"finding {len(numbers)} logged trials: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
