"""`Candidate`: a recipe to be scored, and which candidates a night has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.config import EvaluationConfig
from mfcore.metrics.objective import Objective
from mfcore.models import MODELS, Recipe

__all__ = ["Candidate", "assemble", "baselines"]


class Candidate(BaseModel):
    """A recipe to be scored.

    Attributes:
        name: the row's name in tables.
        role: a finalist of tuning, the blend of some, the champion's recipe, or a baseline.
        objectives: what it competes for; a recipe that competes for both is trained once.
        validation: what was measured on validation ratings, by name, as in `validation_rmse`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    role: Literal["finalist", "blend", "champion", "baseline"]
    objectives: tuple[Objective, ...]
    recipe: Recipe
    validation: dict[str, float] = {}


_LARGE = ("knn", "ease")
"""Baselines whose memory grows with the square of the number of items."""

_BASELINES: tuple[tuple[str, str, tuple[Objective, ...]], ...] = (
    ("global_mean", "global_mean", (Objective.RATING,)),
    ("bias", "bias", (Objective.RATING,)),
    ("most_popular", "most_popular", (Objective.RANKING,)),
    ("item_knn", "knn", (Objective.RATING, Objective.RANKING)),
    ("ease", "ease", (Objective.RANKING,)),
)


def baselines(n_items: int, config: EvaluationConfig) -> list[Candidate]:
    """What a recommender has to beat: the mean, biases, the most rated items, neighborhoods and EASE.

    The last two only up to `config.max_baseline_items` items.

    >>> [one.name for one in baselines(100_000, EvaluationConfig())]
    ['global_mean', 'bias', 'most_popular']
    """
    return [
        Candidate(name=name, role="baseline", objectives=objectives, recipe=Recipe(algorithm=algorithm))
        for name, algorithm, objectives in _BASELINES
        if algorithm in MODELS and (algorithm not in _LARGE or n_items <= config.max_baseline_items)
    ]


def assemble(
    finalists: Sequence[Candidate], champion: Mapping[Objective, Recipe], n_items: int, config: EvaluationConfig
) -> list[Candidate]:
    """All candidates, each recipe once: finalists and blends, the champion's recipes, baselines.

    Of equal recipes the first stays, and competes for what any of them was to compete for.

    Args:
        finalists: of tuning, and their blends.
        champion: the recipe of each of its heads; of some, or none, where there is none.
        n_items: of the catalog.
        config: which baselines are too large.
    """
    is_one = len({recipe.fingerprint for recipe in champion.values()}) == 1
    heads = [
        Candidate(
            name="champion" if is_one else f"{objective}-champion",
            role="champion",
            objectives=(objective,),
            recipe=recipe,
        )
        for objective, recipe in champion.items()
    ]
    return _merged([*finalists, *heads, *baselines(n_items, config)])


def _merged(candidates: Iterable[Candidate]) -> list[Candidate]:
    merged: dict[str, Candidate] = {}
    for candidate in candidates:
        first = merged.setdefault(candidate.recipe.fingerprint, candidate)
        objectives = tuple(
            objective for objective in Objective if objective in (*first.objectives, *candidate.objectives)
        )
        together = {"objectives": objectives, "validation": {**candidate.validation, **first.validation}}
        merged[candidate.recipe.fingerprint] = first.model_copy(update=together)
    return list(merged.values())
