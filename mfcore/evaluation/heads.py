"""`HeadResult`: which recipe an objective's head is made by, as the gate and the baselines have it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.config import RegistrationConfig
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.gate import Decision, decide
from mfcore.metrics import Comparison, Estimate, compare
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe

__all__ = ["MUST_BEAT", "HeadResult", "challenger_of", "judge"]

MUST_BEAT = {Objective.RATING: Recipe(algorithm="bias"), Objective.RANKING: Recipe(algorithm="most_popular")}
"""The baseline that a head has to beat, by more than chance makes, to be of use."""

Status = Literal["promoted", "kept", "tie", "most popular"]


class HeadResult(BaseModel):
    """What became of an objective.

    Attributes:
        objective: rating or ranking.
        metric: what decided, on test ratings: `rmse`, `ndcg_at_10`.
        challenger: name of the finalist, or blend, that was best on validation; test ratings don't choose it.
        chosen: name of the candidate that the head is made by.
        decision: the gate's, on challenger and champion.
        status: promoted, the challenger takes the place; kept, the champion's recipe stays; tie, chance
            makes the difference and the gate's rule has chosen; most popular, no model beats that list,
            which is shown instead (ranking).
        baseline: the chosen candidate, before that, beside the baseline that it has to beat.
        warning: what is wrong with it; None where it beats the baseline.
    """

    model_config = ConfigDict(frozen=True)

    objective: Objective
    metric: str
    challenger: str
    chosen: str
    decision: Decision
    status: Status
    baseline: Comparison | None = None
    warning: str | None = None


def challenger_of(objective: Objective, candidates: Sequence[Candidate], metric: str) -> Candidate | None:
    """The finalist or blend with the best validation figure; None where the objective has none."""
    name = f"validation_{metric}"
    able = [
        one
        for one in candidates
        if objective in one.objectives and one.role in ("finalist", "blend") and name in one.validation
    ]
    return min(able, key=lambda one: (objective.loss(one.validation[name]), one.name), default=None)


def judge(
    objective: Objective,
    candidates: Sequence[Candidate],
    estimates: Mapping[str, Mapping[str, Estimate]],
    k: int,
    champion: Recipe | None,
    config: RegistrationConfig,
) -> HeadResult | None:
    """Choose the recipe of an objective's head; None where it was not tuned, or test ratings can't tell.

    Args:
        objective: rating or ranking.
        candidates: all of them, as scored.
        estimates: name → metric → estimate, on test ratings.
        k: length of the lists.
        champion: the recipe of this head of the champion, among the candidates; None where there is none.
        config: by how much a champion has to be beaten.
    """
    metric = objective.metric(k)
    challenger = challenger_of(objective, candidates, metric)
    figures = {name: some[metric] for name, some in estimates.items() if metric in some}
    if challenger is None or not _has_value(figures.get(challenger.name)):
        return None
    incumbent = _name_of(champion, candidates)
    against = figures[incumbent] if incumbent is not None and _has_value(figures.get(incumbent)) else None
    is_ranking = objective is Objective.RANKING
    decision = decide(
        figures[challenger.name],
        against,
        config.min_ranking_improvement if is_ranking else config.min_improvement,
        higher_is_better=objective.higher_is_better,
    )
    chosen = challenger.name if decision.promote or incumbent is None else incumbent
    status: Status = "kept"
    if challenger.name != incumbent:
        status = "tie" if decision.tie else "promoted" if decision.promote else "kept"
    yardstick = _name_of(MUST_BEAT[objective], candidates)
    beside, warning = None, None
    if yardstick is not None and _has_value(figures.get(yardstick)):
        beside = compare(chosen, figures[chosen], yardstick, figures[yardstick], metric)
    if beside is not None and (chosen == yardstick or not _beats(objective, beside)):
        what = "most popular items" if is_ranking else "biases alone"
        warning = f"{chosen} does not beat {what} on test: {metric} {figures[chosen].value:.4f}, {what} "
        warning += f"{figures[beside.other].value:.4f}{_interval(beside)}"
        if is_ranking:
            warning += "; lists are the most popular ones"
            chosen, status = beside.other, "most popular"
    return HeadResult(
        objective=objective,
        metric=metric,
        challenger=challenger.name,
        chosen=chosen,
        decision=decision,
        status=status,
        baseline=beside,
        warning=warning,
    )


def _name_of(recipe: Recipe | None, candidates: Sequence[Candidate]) -> str | None:
    return next((one.name for one in candidates if one.recipe == recipe), None)


def _has_value(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value == estimate.value


def _beats(objective: Objective, beside: Comparison) -> bool:
    """Whether the difference goes the right way with all of its interval; or at all, where there is none."""
    least = beside.low if objective.higher_is_better else beside.high
    return objective.better(beside.difference if least is None else least, 0.0)


def _interval(beside: Comparison) -> str:
    return "" if beside.low is None else f" ({beside.difference:+.4f}, 95 % {beside.low:+.4f} to {beside.high:+.4f})"
