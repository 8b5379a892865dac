"""The program of a worker: it trains what it is told to, over arrays that it shares with others.

`python -m mfcore.tuning.worker FOLDER` reads {"recipe": …, "yardstick": …} from stdin, a line each, and
trains the recipe on the folds in FOLDER. After each epoch it writes {"value": …, "spread": …}, as the
yardstick measures it, and reads true, for another epoch, or false. What a trial is worth is not for
it to say: it knows neither the study nor Optuna.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from mfcore.errors import TrainingDiverged
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.tuning.folds import measurable, shared
from mfcore.tuning.validation import Validation


@contextmanager
def _conversation() -> Iterator[IO[str]]:
    """Where answers go; what libraries print must not get in between."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        yield out


def _serve(folder: Path, out: IO[str]) -> None:
    def say(**document: object) -> None:
        out.write(json.dumps(document) + "\n")
        out.flush()

    folds = shared(folder)

    @cache
    def validation(yardstick: Yardstick) -> Validation:
        return Validation(measurable(folds, yardstick), yardstick)

    for line in sys.stdin:
        asked = json.loads(line)
        recommender = Recipe.model_validate(asked["recipe"]).build()
        try:
            for value, spread in validation(Yardstick.model_validate(asked["yardstick"])).learn(recommender):
                say(value=value, spread=spread)
                if sys.stdin.readline() != "true\n":
                    break
        except TrainingDiverged as diverged:
            say(diverged=str(diverged))


if __name__ == "__main__":
    # The one who asked may be gone.
    with suppress(BrokenPipeError), _conversation() as conversation:
        _serve(Path(sys.argv[1]), conversation)
