"""The blend of the finalists, as a candidate of its own."""

from collections.abc import Sequence

import numpy as np

from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.evaluation.candidates import Candidate
from mfcore.metrics import rmse
from mfcore.metrics.objective import Objective
from mfcore.models import Factors, Recipe
from mfcore.models.blend import blend_weights, combined
from mfcore.models.scaling import mean_rating

__all__ = ["blend_of"]

_FEWEST = 2


def blend_of(
    finalists: Sequence[Candidate], parts: Sequence[tuple[Ratings, Ratings]], seed: int = 0
) -> Candidate | None:
    """The blend of the finalists for ratings, with its validation RMSE; None where there is nothing to blend.

    Members are trained without the validation ratings, as in tuning. The weights are fitted on one
    half of these and scored on the other half, then the other way round, so that the figure is as
    honest as a single finalist's. The candidate's own weights are fitted by `Blend`, again on ratings
    that its members did not see and that are not test's.

    Scores add up only where they mean the same, so that members are those with the link of the best
    finalist.

    Args:
        finalists: of the objective rating.
        parts: (train, validation) as in tuning, one or several folds.
        seed: of the halves, and of the blend.
    """
    able = [one for one in finalists if Objective.RATING in one.objectives]
    able.sort(key=lambda one: (one.validation["validation_rmse"], one.name))
    if len(able) < _FEWEST:
        return None
    try:
        fits = [([one.recipe.build().fit(train) for one in able], held_out) for train, held_out in parts]
    except TrainingDiverged:  # on this part alone, or it would be no finalist
        return None
    chosen = [place for place, member in enumerate(fits[0][0]) if member.link == fits[0][0][0].link]
    if len(chosen) < _FEWEST:
        return None
    errors = [
        _cross_fitted([members[place] for place in chosen], held_out, mean_rating(train), seed)
        for (members, held_out), (train, _) in zip(fits, parts, strict=True)
    ]
    members = [able[place].recipe.model_dump() for place in chosen]
    return Candidate(
        name="rating-blend",
        role="blend",
        objectives=(Objective.RATING,),
        recipe=Recipe(algorithm="blend", params={"members": members, "seed": seed}),
        validation={"validation_rmse": float(np.mean(errors))},
    )


def _cross_fitted(members: Sequence[Factors], held_out: Ratings, mean: float, seed: int) -> float:
    """RMSE of the weighted members on each half, by weights of the other."""
    order = np.random.default_rng(seed).permutation(len(held_out))
    halves = [held_out.take(np.sort(half)) for half in np.array_split(order, 2)]
    predicted = []
    for own, other in (halves, halves[::-1]):
        blend = combined(members, blend_weights(members, other), mean)
        predicted.append(blend.predict(own.users, own.items))
    return rmse(np.concatenate(predicted), np.concatenate([half.values for half in halves]))
