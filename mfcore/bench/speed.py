"""Speed: seconds per sweep, useful flops, peak memory and time to compile.

Every figure is taken in a process of its own, on the same ratings, with the same number of
factors; libraries take turns, several rounds. The time of one sweep is the difference between
the fastest longer and the fastest shorter fit over the epochs between them, so that preparation
is no part of it. Peers that are not installed (extra `bench`) are left out and named.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mfcore.bench.peers import LIBRARIES, installed, prepare
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.evaluation.compiling import RECIPES, seconds_to_compile
from mfcore.machine import n_cores
from mfcore.models import Recipe
from mfcore.storage.files import scratch_folder

__all__ = [
    "CONTESTS",
    "SHAPES",
    "in_a_process",
    "measure",
    "measure_compiling",
    "save_ratings",
    "seconds_per_sweep",
    "speed",
    "synthetic_ratings",
]

SHAPES = {"ml-100k": (943, 1_682, 100_000), "ml-1m": (6_040, 3_700, 1_000_000), "ml-10m": (70_000, 10_700, 10_000_000)}
"""Users, items, ratings of the synthetic data that speed is measured on."""


class Contest(NamedTuple):
    """What is measured against what.

    Attributes:
        n_factors: k.
        entrants: peers, or this project's algorithms; the first one is what the others are compared with.
    """

    n_factors: int
    entrants: tuple[str, ...]


CONTESTS = {
    "als": Contest(64, ("als", "cmfrec", "lenskit", "implicit")),
    "sgd": Contest(64, ("sgd", "cornac", "surprise")),
    "bpmf": Contest(32, ("als", "bpmf")),
}
_MOST = {"implicit": 1_000_000, "surprise": 1_000_000}
"""Ratings up to which a peer takes part: one solves another problem, one needs a minute an epoch."""

_SHORT = 2
"""Epochs of the shorter fit."""
_EVERY_KERNEL = (*RECIPES, Recipe(algorithm="sgd", params={"optimizer": "adam"}), Recipe(algorithm="bpmf"))


def speed(
    shapes: Iterable[str] = tuple(SHAPES),
    contests: Iterable[str] = tuple(CONTESTS),
    rounds: int = 3,
    tell: Callable[[str], None] = lambda line: None,
    *,
    with_compiling: bool = True,
) -> dict[str, Any]:
    """Measure seconds per sweep, ratings per second, useful flops and peak memory.

    Args:
        shapes: which of `SHAPES`.
        contests: which of `CONTESTS`.
        rounds: times that each entrant has its turn.
        tell: gets a line for each measurement.
        with_compiling: whether to compile all kernels anew, and say how long that took.

    Returns:
        {"machine": …, "missing": [library, …], "results": [{"shape", "contest", "library", "seconds", …}, …]}.
        `ratio` is the time over that of the contest's first entrant; `useful_gflops` counts n·k² a
        side and k³/3 a row for closed-form solvers; `peak_bytes_a_rating` is what the process grew
        by at most while it trained.
    """
    contests = tuple(contests)
    results = []
    missing = [peer for peer in LIBRARIES if not installed(peer)]
    for shape in shapes:
        n = SHAPES[shape][2]
        with scratch_folder() as folder:
            ratings = synthetic_ratings(shape)
            save_ratings(ratings, folder)
            for contest in contests:
                k, named = CONTESTS[contest]
                entrants = [entrant for entrant in named if entrant not in missing and n <= _MOST.get(entrant, n)]
                taken: dict[str, list[dict[str, float]]] = {entrant: [] for entrant in entrants}
                for _ in range(rounds):
                    for entrant in entrants:
                        taken[entrant].append(in_a_process([entrant, str(k), str(folder)]))
                        tell(f"{shape} {contest} {entrant}: {taken[entrant][-1]}")
                derived = {entrant: _derived(entrant, SHAPES[shape], k, fits) for entrant, fits in taken.items()}
                first = derived[entrants[0]]["seconds"]
                results += [
                    {
                        "shape": shape,
                        "contest": contest,
                        "n_factors": k,
                        "library": entrant if entrant in LIBRARIES else f"mfcore {entrant}",
                        "ratio": figures["seconds"] / first,
                        **figures,
                    }
                    for entrant, figures in derived.items()
                ]
    machine = {"cores": n_cores(), "sgemm_gflops": _sgemm_gflops()}
    if with_compiling:
        with scratch_folder() as folder:
            machine |= in_a_process([], NUMBA_CACHE_DIR=str(folder))
    return {"machine": machine, "missing": missing, "results": results}


def synthetic_ratings(shape: str) -> Ratings:
    """Synthetic ratings of one of `SHAPES`, skewed as real ones are."""
    synthetic = synthesize(*SHAPES[shape], seed=0, scale=Scale(1, 5, 1))
    return Ratings.from_frame(synthetic.frame, synthetic.scale)


def save_ratings(ratings: Ratings, folder: Path) -> None:
    """Put what `measure` reads into `folder`."""
    for name in ("users", "items", "values"):
        np.save(folder / f"{name}.npy", getattr(ratings, name), allow_pickle=False)


def seconds_per_sweep(fits: Sequence[dict[str, float]], n_ratings: int) -> float:
    """What an epoch more takes, of the fastest of each."""
    short, long = (min(fit[name] for fit in fits) for name in ("short", "long"))
    return (long - short) / (_long(n_ratings) - _SHORT)


def _derived(entrant: str, shape: tuple[int, int, int], k: int, fits: list[dict[str, float]]) -> dict[str, float]:
    n_users, n_items, n = shape
    seconds = seconds_per_sweep(fits, n)
    by_descent = entrant in ("sgd", "cornac", "surprise")
    flops = 6.0 * n * k if by_descent else 2.0 * n * k**2 + (n_users + n_items) * k**3 / 3
    return {
        "seconds": seconds,
        "updates_a_second": n / seconds,
        "useful_gflops": flops / seconds / 1e9,
        "peak_bytes_a_rating": min(fit["peak_bytes"] for fit in fits) / n,
    }


def _long(n_ratings: int) -> int:
    """Epochs of the longer fit: more of them where one takes milliseconds."""
    return _SHORT + min(40, max(4, 8_000_000 // n_ratings))


def in_a_process(arguments: list[str], **environment: str) -> dict[str, float]:
    """What `measure`, or without arguments `measure_compiling`, finds in a process of its own."""
    command = [sys.executable, "-m", "mfcore.bench", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(entrant: str, n_factors: int, folder: Path) -> dict[str, float]:
    """Time a short and a long fit, in a process that does nothing else."""
    users, items, values = (
        np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("users", "items", "values")
    )
    user_ids, item_ids = np.arange(users.max() + 1), np.arange(items.max() + 1)
    ratings = Ratings(users, items, values, None, user_ids, item_ids, Scale(1, 5, 1))
    _fit(entrant, ratings.take(np.arange(2000)), n_factors)(1)  # whatever compiles or loads late
    fit = _fit(entrant, ratings, n_factors)
    _restart_peak()
    before = _memory("VmRSS")
    seconds = []
    for n_epochs in (_SHORT, _long(len(ratings))):
        start = time.perf_counter()
        fit(n_epochs)
        seconds.append(time.perf_counter() - start)
    return {"short": seconds[0], "long": seconds[1], "peak_bytes": max(0, _memory("VmHWM") - before)}


def _fit(entrant: str, ratings: Ratings, n_factors: int) -> Callable[[int], object]:
    if entrant in LIBRARIES:
        return prepare(entrant, ratings, n_factors)
    recipe = Recipe(algorithm=entrant, params={"n_factors": n_factors})

    def fit(n_epochs: int) -> object:
        training = recipe.build().begin(ratings)
        for _ in range(n_epochs):
            training.step()
        return training

    return fit


def measure_compiling() -> dict[str, float]:
    """Seconds that the kernels of all trainers and metrics take to compile."""
    return {"compile_seconds": seconds_to_compile(_EVERY_KERNEL)}


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
