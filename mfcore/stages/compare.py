"""Compare: models of several algorithms side by side, each by the best recipe that is known of it."""

import logging
from collections.abc import Iterable, Iterator

from mfcore.data.snapshot import Snapshot
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.storage.kinds import Kind

__all__ = ["fitted"]

logger = logging.getLogger("mfcore.stages")


def fitted(context: Context, algorithms: Iterable[str]) -> dict[str, Model]:
    """Train each algorithm on the newest ratings, by the recipe that `recipe_of` finds.

    Raises:
        UsageError: an unknown algorithm.
        NothingToWorkFrom: the data set has no ratings here.
    """
    recipes = {name: _recipe_of(context, name) for name in algorithms}
    recommenders = {name: recipe.build() for name, recipe in recipes.items()}
    data = Snapshot.load(context.store.newest(Kind.RATINGS, context.dataset_name).path)
    return {
        name: Model.of(recommender.train(data.ratings), data.ratings, data.items)
        for name, recommender in recommenders.items()
    }


def _recipe_of(context: Context, algorithm: str) -> Recipe:
    """The finalist of the newest evaluation, for lists if there is one for them; else the algorithm's defaults."""
    for name, objectives, recipe in _finalists(context):
        if recipe.algorithm == algorithm:
            logger.info("%s: tuned for %s, %s of the newest evaluation", algorithm, " and ".join(objectives), name)
            return recipe
    logger.info("%s: by its defaults, for no evaluation has a tuned recipe", algorithm)
    return Recipe(algorithm=algorithm)


def _finalists(context: Context) -> Iterator[tuple[str, tuple[Objective, ...], Recipe]]:
    """Name, objectives and recipe of what the newest evaluation compared, that for lists first."""
    if not context.store.has(Kind.EVALUATIONS, context.dataset_name):
        return
    evaluation = load_evaluation(context.store.newest(Kind.EVALUATIONS, context.dataset_name))
    tuned = [score.candidate for score in evaluation.scores if score.candidate.role in ("finalist", "blend")]
    for entrant in sorted(tuned, key=lambda candidate: Objective.RANKING not in candidate.objectives):
        yield entrant.name, entrant.objectives, entrant.recipe
