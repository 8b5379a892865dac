"""The blend of an objective's finalists, as a candidate of its own."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ratings
from mfcore.errors import NothingRelevant, TrainingDiverged
from mfcore.evaluation.candidates import Candidate
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Factors, Recipe
from mfcore.models.blend import blend_weights, combined, combined_for_lists, ranking_weights
from mfcore.models.scaling import mean_rating

__all__ = ["blend_of"]

_FEWEST = 2


def blend_of(
    yardstick: Yardstick, finalists: Sequence[Candidate], parts: Sequence[tuple[Ratings, Ratings]]
) -> Candidate | None:
    """The blend of an objective's finalists, with its validation figure; None where there is nothing to blend.

    Members are trained without the validation ratings, as in tuning. The weights are fitted on one
    half of the users and scored on the other half, then the other way round, so that the figure is as
    honest as a single finalist's. The candidate's own weights are fitted by `Blend`, again on ratings
    that its members did not see and that are not test's.

    Scores add up only where they mean the same, so that members are those with the link of the best
    finalist.

    Args:
        yardstick: of the objective, as in tuning.
        finalists: of any objective.
        parts: (train, validation) as in tuning, one or several folds.
    """
    objective, metric = yardstick.objective, f"validation_{yardstick.metric}"
    able = [finalist for finalist in finalists if objective in finalist.objectives and metric in finalist.validation]
    able.sort(key=lambda finalist: (objective.loss(finalist.validation[metric]), finalist.name))
    if len(able) < _FEWEST:
        return None
    try:
        fits = [[finalist.recipe.build().train(train) for finalist in able] for train, _ in parts]
    except TrainingDiverged:  # on these ratings alone, or it would be no finalist
        return None
    chosen = [place for place, member in enumerate(fits[0]) if member.link == fits[0][0].link]
    values = [
        _cross_fitted(yardstick, [members[place] for place in chosen], train, held_out)
        for members, (train, held_out) in zip(fits, parts, strict=True)
    ]
    known = [value for value in values if value is not None]
    if len(chosen) < _FEWEST or not known:
        return None
    members = [able[place].recipe.model_dump() for place in chosen]
    params = {"members": members, "objective": objective.value, "seed": yardstick.seed}
    return Candidate(
        name=f"{objective}-blend",
        role="blend",
        objectives=(objective,),
        recipe=Recipe(algorithm="blend", params=params),
        validation={metric: float(np.mean(known))},
    )


def _cross_fitted(yardstick: Yardstick, members: Sequence[Factors], train: Ratings, held_out: Ratings) -> float | None:
    """The figure of each half of the users, by weights of the other; None where neither half has one."""
    order = np.random.default_rng(yardstick.seed).permutation(held_out.n_users)
    is_first = np.zeros(held_out.n_users, np.bool_)
    is_first[order[: len(order) // 2]] = True
    halves = [held_out.take(np.flatnonzero(is_first[held_out.users] == which)) for which in (True, False)]
    values, counts = [], []
    for own, other in (halves, halves[::-1]):
        try:
            measure = yardstick.on(train, own)
        except NothingRelevant:
            continue
        if not len(own):
            continue
        blend = _blended(yardstick.objective, members, _weights(yardstick, members, train, other), train)
        values.append(measure(blend))
        counts.append(_weight_of(yardstick, own))
    if not values:
        return None
    if yardstick.objective is Objective.RATING:
        return math.sqrt(np.average(np.square(values), weights=counts))
    return float(np.average(values, weights=counts))


def _weight_of(yardstick: Yardstick, part: Ratings) -> int:
    """Ratings, or users with a relevant item: what the figure is a mean over."""
    return len(part) if yardstick.objective is Objective.RATING else len(yardstick.users(part))


def _weights(
    yardstick: Yardstick, members: Sequence[Factors], train: Ratings, held_out: Ratings
) -> NDArray[np.float64]:
    if yardstick.objective is Objective.RATING:
        return blend_weights(members, held_out)
    return ranking_weights(members, held_out, train, yardstick.k)


def _blended(objective: Objective, members: Sequence[Factors], weights: NDArray[np.float64], train: Ratings) -> Factors:
    if objective is Objective.RATING:
        return combined(members, weights, mean_rating(train))
    return combined_for_lists(members, weights, train)
