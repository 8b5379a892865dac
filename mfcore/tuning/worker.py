"""The program of a worker: it trains what it is told to, over arrays that it shares with others.

`python -m mfcore.tuning.worker FOLDER` reads a recipe a line from stdin, as JSON, and trains it on the
folds in FOLDER. After each epoch it writes {"value": …, "spread": …}, and reads true, for
another epoch, or false. What a trial is worth is not for it to say: it knows neither the study
nor Optuna.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mfcore.errors import TrainingDiverged
from mfcore.models import Recipe
from mfcore.tuning.folds import shared
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

    validation = Validation(*shared(folder))
    for line in sys.stdin:
        recommender = Recipe.model_validate_json(line).build()
        try:
            for value, spread in validation.learn(recommender):
                say(value=value, spread=spread)
                if sys.stdin.readline() != "true\n":
                    break
        except TrainingDiverged as diverged:
            say(diverged=str(diverged))


if __name__ == "__main__":
    # The one who asked may be gone.
    with suppress(BrokenPipeError), _conversation() as conversation:
        _serve(Path(sys.argv[1]), conversation)
