"""`HeadResult`: which recipe an objective's head is made by, as the gate's rules have it."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.config import RegistrationConfig
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.gate import Decision, decide
from mfcore.evaluation.rules import Facts, Rule, failed
from mfcore.metrics import Comparison, Estimate, compare
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe

__all__ = ["FLOOR", "HeadResult", "challenger_of", "judge"]

FLOOR = {
    Objective.RATING: (Recipe(algorithm="bias"), Recipe(algorithm="global_mean")),
    Objective.RANKING: (Recipe(algorithm="most_popular"),),
}
"""What a head must not be below: baselines that know nothing of who likes what, the best one first."""

Status = Literal["promoted", "kept", "tie", "most popular", "baseline"]


class HeadResult(BaseModel):
    """What became of an objective.

    Attributes:
        objective: rating or ranking.
        metric: what decided, on test ratings: `rmse`, `ndcg_at_10`.
        challenger: name of the finalist, or blend, that was best on validation; test ratings don't choose it.
        chosen: name of the candidate that the head is made by.
        decision: the gate's, on challenger and champion.
        status: promoted, the challenger takes the place; kept, the champion's recipe stays; tie, the same,
            and chance makes the difference; most popular, lists are those of the most popular items; baseline,
            neither passes, and another baseline takes the place.
        rules: what was asked of the challenger and, where there is one, of the champion's recipe.
        baseline: the challenger, or the champion's recipe where that stays, beside the best of `FLOOR`.
        warning: what is wrong with it; None where it beats that baseline by more than chance makes.
    """

    model_config = ConfigDict(frozen=True)

    objective: Objective
    metric: str
    challenger: str
    chosen: str
    decision: Decision
    status: Status
    rules: list[Rule] = []
    baseline: Comparison | None = None
    warning: str | None = None


def challenger_of(objective: Objective, candidates: Sequence[Candidate], metric: str) -> Candidate | None:
    """The finalist or blend with the best validation figure; None where the objective has none."""
    name = f"validation_{metric}"
    able = [
        candidate
        for candidate in candidates
        if objective in candidate.objectives
        and candidate.role in ("finalist", "blend")
        and name in candidate.validation
    ]
    return min(able, key=lambda candidate: (objective.loss(candidate.validation[name]), candidate.name), default=None)


def judge(
    objective: Objective,
    candidates: Sequence[Candidate],
    estimates: Mapping[str, Mapping[str, Estimate]],
    facts: Mapping[str, Facts],
    k: int,
    champion: Recipe | None,
    config: RegistrationConfig,
) -> HeadResult | None:
    """Choose the recipe of an objective's head; None where it was not tuned, or test ratings can't tell.

    The challenger comes first if it is better than the champion's recipe by the gate's `decide`, or if there
    is no champion; else that recipe does. The first of the two that passes all other rules makes the head:

    - finite factors, and predicted ratings on the scale;
    - for ratings, RMSE no higher than that of the biases alone and of the mean;
    - for lists, NDCG above that of the most popular items by more than chance makes, and
      lists that hold some of the catalog;
    - not worse than any other baseline, neighborhoods or EASE, by more than chance makes.

    Where neither passes, a baseline makes the head: for lists the most popular items, unless others
    are better than those by more than chance makes.

    Args:
        objective: rating or ranking.
        candidates: all of them, as scored.
        estimates: name → metric → estimate, on test ratings.
        facts: name → what else is asked of a candidate.
        k: length of the lists.
        champion: the recipe of this head of the champion, among the candidates; None where there is none.
        config: by how much a champion has to be beaten, and how much of the catalog lists have to hold.
    """
    metric = objective.metric(k)
    challenger = challenger_of(objective, candidates, metric)
    figures = {name: some[metric] for name, some in estimates.items() if metric in some and _has_value(some[metric])}
    if challenger is None or challenger.name not in figures:
        return None
    incumbent = _name_of(champion, candidates)
    incumbent = incumbent if incumbent in figures else None
    decision = decide(
        figures[challenger.name],
        None if incumbent is None else figures[incumbent],
        config.min_ranking_improvement if objective is Objective.RANKING else config.min_improvement,
        higher_is_better=objective.higher_is_better,
        name=challenger.name,
    )
    baselines = _baselines(objective, candidates, figures)
    order = [challenger.name] if incumbent is None else [challenger.name, incumbent]
    if not decision.promote:
        order.reverse()
    asked = {
        name: [
            *facts[name].rules(name, objective),
            *_covering(objective, name, facts[name], config),
            *_above(objective, metric, name, baselines, figures),
        ]
        for name in order
    }
    first = order[0]
    chosen = next((name for name in order if not failed(asked[name])), None)
    lowest = _among(FLOOR[objective], baselines)
    if chosen is None:
        floor_alone = {name: baselines[name] for name in lowest}
        able = [
            baseline for baseline in baselines if not failed(_above(objective, metric, baseline, floor_alone, figures))
        ]
        chosen = min(able or lowest, key=lambda name: objective.loss(figures[name].value), default=first)
    status: Status = "kept"
    if objective is Objective.RANKING and chosen in lowest:
        status = "most popular"
    elif chosen in baselines and chosen not in order:
        status = "baseline"
    elif challenger.name != incumbent:
        status = "promoted" if chosen == challenger.name else "tie" if decision.tie else "kept"
    floor = min(lowest, key=lambda name: objective.loss(figures[name].value), default=None)
    beside = None if floor is None else compare(first, figures[first], floor, figures[floor], metric)
    warning = None
    if chosen != first:
        warning = f"{first} fails the gate: {failed(asked[first])}; the head is made by {chosen}"
    elif first in baselines:
        warning = f"{first} is a baseline itself, and {challenger.name} does not beat it"
    elif beside is not None and not _beats(objective, beside):
        warning = f"{first} does not beat {floor} on test by more than chance makes: {_figures(figures, beside)}"
    return HeadResult(
        objective=objective,
        metric=metric,
        challenger=challenger.name,
        chosen=chosen,
        decision=decision,
        status=status,
        rules=[*decision.rules, *(rule for rules in asked.values() for rule in rules)],
        baseline=beside,
        warning=warning,
    )


def _baselines(
    objective: Objective, candidates: Sequence[Candidate], figures: Mapping[str, Estimate]
) -> dict[str, Recipe]:
    """Baselines of an objective that have a figure, also where the champion or a finalist is the very same."""
    return {
        candidate.name: candidate.recipe
        for candidate in candidates
        if candidate.name in figures
        and objective in candidate.objectives
        and (candidate.role == "baseline" or candidate.recipe in FLOOR[objective])
    }


def _among(recipes: Sequence[Recipe], baselines: Mapping[str, Recipe]) -> list[str]:
    return [name for name, recipe in baselines.items() if recipe in recipes]


def _covering(objective: Objective, name: str, facts: Facts, config: RegistrationConfig) -> list[Rule]:
    """That lists are not the same few items for everybody."""
    rule = Rule(of=name, name="coverage of lists", found=facts.coverage, relation="≥", limit=config.min_coverage)
    return [rule] if objective is Objective.RANKING else []


def _above(
    objective: Objective,
    metric: str,
    name: str,
    baselines: Mapping[str, Recipe],
    figures: Mapping[str, Estimate],
) -> list[Rule]:
    """That a candidate is not below the baselines that it is not itself."""
    rules, floor = [], _among(FLOOR[objective], baselines)
    for other in baselines:
        if other == name:
            continue
        beside = compare(name, figures[name], other, figures[other], metric)
        assert beside is not None  # both have a figure
        least, most = _gains(objective, beside)
        if other not in floor:
            rules.append(
                Rule(of=name, name=f"{metric} beside {other}, gain at most", found=most, relation="≥", limit=0)
            )
        elif objective is Objective.RANKING:
            rules.append(
                Rule(of=name, name=f"{metric} beside {other}, gain at least", found=least, relation=">", limit=0)
            )
        else:
            value, limit = figures[name].value, figures[other].value
            rules.append(Rule(of=name, name=f"{metric}, limit {other}", found=value, relation="≤", limit=limit))
    return rules


def _gains(objective: Objective, beside: Comparison) -> tuple[float, float]:
    """Ends of the interval of how much better the one is; the difference for both, where there is none."""
    ends = [beside.difference if end is None else end for end in (beside.low, beside.high)]
    return (ends[0], ends[1]) if objective.higher_is_better else (-ends[1], -ends[0])


def _name_of(recipe: Recipe | None, candidates: Sequence[Candidate]) -> str | None:
    return next((candidate.name for candidate in candidates if candidate.recipe == recipe), None)


def _has_value(estimate: Estimate) -> bool:
    return estimate.value == estimate.value


def _beats(objective: Objective, beside: Comparison) -> bool:
    """Whether the difference goes the right way with all of its interval; or at all, where there is none."""
    return _gains(objective, beside)[0] > 0


def _figures(figures: Mapping[str, Estimate], beside: Comparison) -> str:
    text = f"{beside.metric} {figures[beside.model].value:.4f}, {beside.other} {figures[beside.other].value:.4f}"
    return (
        text
        if beside.low is None
        else f"{text} ({beside.difference:+.4f}, 95 % {beside.low:+.4f} to {beside.high:+.4f})"
    )
