"""The gate: which recipe the next champion is made by."""

from pydantic import BaseModel, ConfigDict

from mfcore.evaluation.rules import Rule
from mfcore.metrics.intervals import Estimate, compare

__all__ = ["Decision", "decide"]


class Decision(BaseModel):
    """What the gate decided, and on what grounds.

    Attributes:
        promote: whether the challenger's recipe takes the champion's place.
        challenger_value: on the test ratings.
        champion_value: of the champion's recipe, trained on the same data; None when there is no champion.
        difference: challenger's less champion's.
        interval: 95 % interval of the difference; None when there is no champion, or too few users.
        p_value: of no difference, two-sided.
        tie: whether the difference is one that chance makes; None when there is no interval to tell.
        reason: the decision in a sentence.
        rules: what was asked, with figures; nothing where there is no champion.
    """

    model_config = ConfigDict(frozen=True)

    promote: bool
    challenger_value: float
    champion_value: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    tie: bool | None = None
    reason: str
    rules: list[Rule] = []


def decide(
    challenger: Estimate,
    champion: Estimate | None,
    min_improvement: float = 0.0,
    *,
    higher_is_better: bool = False,
    name: str = "challenger",
) -> Decision:
    r"""Compare two recipes, trained on the same ratings, by RMSE or NDCG on the same test ratings.

    The challenger is promoted when it is better by `min_improvement` and by more than chance makes.
    A tie keeps the champion, and so does a test on too few users to tell: otherwise a recipe that is
    truly worse would be promoted nearly every second time.

    Args:
        challenger: RMSE of the challenger's recipe.
        champion: RMSE of the champion's recipe, of the same draws of users; None when there is no champion.
        min_improvement: RMSE by which the challenger has to be better.
        higher_is_better: the figures are NDCG, not RMSE.
        name: the challenger's, for the rules.

    >>> import numpy as np
    >>> from mfcore.metrics.intervals import Bootstrap, mean
    >>> errors, everybody = np.linspace(0.8, 1.0, 50), np.ones(50, bool)
    >>> better, worse = Bootstrap(50).estimate([mean(errors, everybody), mean(errors + 0.1, everybody)])
    >>> decide(better, worse).promote
    True
    >>> decide(worse, better).reason
    'the recipe of the champion stays: test RMSE 0.9000, the challenger 1.0000 (+0.1000, 95 % +0.1000 to +0.1000)'
    """
    if champion is None:
        return Decision(promote=True, challenger_value=challenger.value, reason="there was no champion to compare with")
    metric, sign = ("NDCG", 1) if higher_is_better else ("RMSE", -1)
    difference = compare("challenger", challenger, "champion", champion, metric)
    assert difference is not None  # there are test ratings, or the split would have refused
    # Without an interval nobody can tell a better recipe from a lucky one.
    least = (
        None
        if difference.low is None or difference.high is None
        else min(sign * difference.low, sign * difference.high)
    )
    gain = f"gain of {metric} over the champion"
    rules = [
        Rule(of=name, name=gain, found=sign * difference.difference, relation="≥", limit=min_improvement),
        Rule(of=name, name=f"{gain}, at least", found=least, relation=">", limit=0),
    ]
    promote = all(rule.passed for rule in rules)
    ours, theirs = f"{challenger.value:.4f}", f"{champion.value:.4f}"
    if promote:
        reason = f"a better recipe: test {metric} {ours}, the champion's {theirs}"
    else:
        reason = "a tie, and " if difference.tie else ""
        reason += f"the recipe of the champion stays: test {metric} {theirs}, the challenger {ours}"
    if difference.low is None or difference.high is None:
        reason += f" ({difference.reason})"
    else:
        reason += f" ({difference.difference:+.4f}, 95 % {difference.low:+.4f} to {difference.high:+.4f})"
    return Decision(
        promote=promote,
        challenger_value=challenger.value,
        champion_value=champion.value,
        difference=difference.difference,
        interval=None if difference.low is None or difference.high is None else (difference.low, difference.high),
        p_value=difference.p_value,
        tie=difference.tie,
        reason=reason,
        rules=rules,
    )
