"""`compiling`: kernels compiled by a process of its own while there is something else to wait for.

`python -m mfcore.evaluation.compiling FOLDER` has Numba compile what trainers and metrics need, and keep it on disk.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.metrics import Evaluator
from mfcore.models import Recipe, kernels
from mfcore.storage.artifacts import code_of
from mfcore.storage.files import scratch_folder
from mfcore.workers import Worker, WorkerKilled, conversation

__all__ = ["RECIPES", "compiling", "seconds_to_compile"]

logger = logging.getLogger(__name__)

RECIPES = tuple(Recipe(algorithm=algorithm, params={"n_factors": 8}) for algorithm in ("als", "sgd", "pmf", "knn"))
"""What the kernels of a run with the default settings are compiled by."""


@contextmanager
def compiling() -> Iterator[Callable[[], None]]:
    """Compile the kernels of `RECIPES` in the background, unless that was done before; yield what waits for it.

    A run goes on without: what is not compiled, or can't be, is compiled where it is first called.
    """
    mark = _mark()
    if mark is None or mark.exists():
        yield lambda: None
        return
    with scratch_folder() as folder:
        worker = Worker(__name__, folder, 1)

        def finish() -> None:
            logger.info("compile: the trainers' kernels, once on a machine")
            try:
                worker.read()
            except (WorkerKilled, RuntimeError) as error:
                logger.debug("compiling ahead failed: %s", error)
            else:
                with suppress(OSError):
                    mark.touch()

        try:
            yield finish
        finally:
            worker.end()


def seconds_to_compile(recipes: Sequence[Recipe]) -> float:
    """Seconds that their kernels take to compile: a first fit and evaluation of each less a second one."""
    synthetic = synthesize(200, 100, 4000)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    parts = split(ratings)
    evaluator, train = Evaluator(ratings, parts), ratings.take(parts.train)

    def fit_all() -> float:
        start = time.perf_counter()
        for recipe in recipes:
            evaluator.measure(recipe.build().model_copy(update={"n_epochs": 2}).train(train), None)
        return time.perf_counter() - start

    return fit_all() - fit_all()


def _mark() -> Path | None:
    """The file that says of this code's kernels that Numba has them on disk; None where it keeps them elsewhere."""
    origin = Path(kernels.__path__[0])
    cache = Path(os.environ.get("NUMBA_CACHE_DIR") or origin / "__pycache__")
    if not os.access(cache if cache.exists() else cache.parent, os.W_OK):
        return None
    own = code_of("mfcore.models.kernels")
    return cache / f"{own}-{sys.implementation.cache_tag}-numba-{version('numba')}.compiled"


if __name__ == "__main__":
    # The one who asked may be gone.
    with suppress(BrokenPipeError), conversation() as say:
        say({"seconds": seconds_to_compile(RECIPES)})
