"""The program of a worker: it trains what it is told to, over arrays that it shares with others.

`python -m mfcore.tuning.worker FOLDER` reads {"recipe": …, "yardstick": …} from stdin, a line each, and
trains the recipe on the objective's folds in FOLDER. After each epoch it writes {"value": …, "spread": …}, as the
yardstick measures it, and reads true, for another epoch, or false. What a trial is worth is not for
it to say: it knows neither the study nor Optuna.
"""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from mfcore.errors import TrainingDiverged
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.tuning.folds import measurable, shared
from mfcore.tuning.validation import Validation
from mfcore.workers import conversation


def _serve(folder: Path, say: Callable[[object], None]) -> None:
    @cache
    def validation(yardstick: Yardstick) -> Validation:
        return Validation(measurable(shared(folder / yardstick.objective), yardstick), yardstick)

    for line in sys.stdin:
        asked = json.loads(line)
        recommender = Recipe.model_validate(asked["recipe"]).build()
        try:
            for value, spread in validation(Yardstick.model_validate(asked["yardstick"])).learn(recommender):
                say({"value": value, "spread": spread})
                if sys.stdin.readline() != "true\n":
                    break
        except TrainingDiverged as diverged:
            say({"diverged": str(diverged)})


if __name__ == "__main__":
    # The one who asked may be gone.
    with suppress(BrokenPipeError), conversation() as say:
        _serve(Path(sys.argv[1]), say)
