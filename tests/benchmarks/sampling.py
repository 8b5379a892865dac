"""How well studies on a sample of users predict studies on all: `python -m tests.benchmarks.sampling [--trials 20]`.

Random search without a pruner tries the same recipes on every sample, so that what they are worth there can be
compared with what they are worth on all users. A row of the table it prints is the mean over samples of several seeds:

- rank correlation: Spearman's, of the recipes' validation figures on the sample and on all;
- loss: how much worse the sample's best recipe is on all users than the best recipe there, in percent of that;
- gain: how much better the best recipe on all users is than the defaults, in percent of those; what could be lost.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from mfcore.config import SplitConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.metrics.objective import Objective
from mfcore.tuning import tune
from mfcore.tuning.folds import sampled

SHARES = (0.01, 0.03, 0.1, 0.3)
SEEDS = (0, 1, 2)


def losses(
    train: Ratings, validation: Ratings, objective: Objective, algorithm: str, config: TuningConfig
) -> list[float]:
    """The figure of each recipe as a loss; what came to nothing is infinitely bad."""
    with tempfile.TemporaryDirectory() as folder:
        tuned = tune(algorithm, train, validation, config, Path(folder) / "study.log", objective=objective)
    return [objective.loss(trial.value) for trial in tuned.trials]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--users", type=int, default=24_000)
    parser.add_argument("--items", type=int, default=3_700)
    parser.add_argument("--ratings", type=int, default=4_000_000)
    parser.add_argument("--algorithms", nargs="+", default=["als", "sgd"])
    arguments = parser.parse_args()
    synthetic = synthesize(arguments.users, arguments.items, arguments.ratings)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    parts = split(ratings, SplitConfig())
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    print("| study | gain | share of users | rank correlation | loss | time, of all |\n|---|---|---|---|---|---|")
    for objective in Objective:
        for algorithm in arguments.algorithms:
            config = TuningConfig(sampler="random", pruner="none", n_trials=arguments.trials, validation="single")
            started = time.perf_counter()
            whole = np.array(losses(train, validation, objective, algorithm, config))
            seconds = time.perf_counter() - started
            gain = 100 * (whole[0] - whole.min()) / abs(whole[0])
            for share in SHARES:
                found = []
                for seed in SEEDS:
                    # Who is drawn hangs on the configuration's seed, and so do the recipes.
                    own = sampled(train, validation, TuningConfig(sample=share, seed=seed))
                    started = time.perf_counter()
                    small = np.array(losses(*own, objective, algorithm, config))
                    taken = (time.perf_counter() - started) / seconds
                    loss = 100 * (whole[small.argmin()] - whole.min()) / abs(whole.min())
                    found.append((spearmanr(small, whole).statistic, loss, taken))
                rank, loss, taken = np.mean(found, axis=0)
                study = f"{objective}-{algorithm} | {gain:.2f} %"
                print(f"| {study} | {share:.0%} | {rank:.2f} | {loss:.2f} % | {taken:.0%} |", flush=True)


if __name__ == "__main__":
    main()
