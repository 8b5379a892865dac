"""Training on a machine that others use: seconds per sweep beside processes that spin.

Threads that wait for each other at the end of each round wait for the slowest, which is the one
that another process has put off its core. One thread has nobody to wait for, so what it takes
beside the same processes is what is fair to ask for.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mfcore.bench.speed import CONTESTS, SHAPES, in_a_process, save_ratings, seconds_per_sweep, synthetic_ratings
from mfcore.machine import n_cores
from mfcore.storage.files import scratch_folder

__all__ = ["busy", "spinning"]

_ALGORITHMS = ("als", "sgd", "bpmf")
_SPIN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n for _ in range(1_000_000): pass"
"""Ends by itself when whoever started it is gone."""


def busy(
    n_spinning: int, shapes: Iterable[str] = ("ml-100k",), rounds: int = 3, tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure seconds per sweep with all threads and with one, beside `n_spinning` processes and alone.

    Args:
        n_spinning: processes that spin meanwhile.
        shapes: which of `SHAPES`.
        rounds: times that each has its turn; the fastest counts.
        tell: gets a line for each measurement.

    Returns:
        {"machine": {"cores": …}, "busy": [{"shape", "algorithm", "n_factors", "spinning", "seconds",
        "seconds_one_thread", "ratio"}, …]}; `ratio` is the time of all threads over that of one, beside
        the same processes.
    """
    results = []
    for shape in shapes:
        n_ratings = SHAPES[shape][2]
        with scratch_folder() as folder:
            save_ratings(synthetic_ratings(shape), folder)
            for algorithm in _ALGORITHMS:
                k = CONTESTS[algorithm].n_factors
                for n in dict.fromkeys((0, n_spinning)):
                    fits: dict[int, list[dict[str, float]]] = {1: [], n_cores(): []}
                    with spinning(n):
                        for _ in range(rounds):
                            for n_threads, taken in fits.items():
                                arguments = [algorithm, str(k), str(folder)]
                                taken.append(in_a_process(arguments, NUMBA_NUM_THREADS=str(n_threads)))
                                tell(f"{shape} {algorithm} beside {n}, {n_threads} threads: {taken[-1]}")
                    single, every = (seconds_per_sweep(fits[threads], n_ratings) for threads in (1, n_cores()))
                    results.append(
                        {
                            "shape": shape,
                            "algorithm": algorithm,
                            "n_factors": k,
                            "spinning": n,
                            "seconds": every,
                            "seconds_one_thread": single,
                            "ratio": every / single,
                        }
                    )
    return {"machine": {"cores": n_cores()}, "busy": results}


@contextmanager
def spinning(n: int) -> Iterator[None]:
    """Keep `n` processes busy meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", _SPIN]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
