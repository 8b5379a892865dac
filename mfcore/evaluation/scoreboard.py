"""An evaluation as tables for a terminal: ratings, lists, slices, and what could not be computed."""

from collections.abc import Iterator
from typing import Any, Literal

from mfcore.evaluation.scoring import Evaluation, Score
from mfcore.metrics import Measure
from mfcore.metrics.objective import Objective

__all__ = ["scoreboard"]

_NO_TABLE = ("genre ", "predicted ")
"""Slices that are too many for a terminal; the files hold them."""

Table = tuple[str, list[dict[str, Any]]]


def scoreboard(evaluation: Evaluation) -> Iterator[Table]:
    """Titles and rows of tables, what matters most first."""
    k = evaluation.scores[0].measure("ndcg").metric.rpartition("_")[2]
    yield (
        f"{Objective.RATING.purpose}\nRatings: RMSE with its 95 % interval over users, and what the difference from "
        "the least is",
        [
            {
                "model": score.candidate.name,
                "role": _role(evaluation, score, Objective.RATING),
                "RMSE": _with_interval(score.measure("rmse")),
                "beside the least": _standing(evaluation, score, "rmse", "least"),
                "MAE": score.measure("mae").value,
                "R²": score.measure("r2").value,
                "user RMSE": score.measure("user_rmse").value,
                "clipped": _percent(score.measure("clipped")),
                "cold": _percent(score.measure("cold")),
                "seconds": f"{score.seconds:.1f}",
            }
            for score in evaluation.scores
        ],
    )
    yield (
        f"{Objective.RANKING.purpose}\nLists of {k}: whole catalog, what users had rated before left out",
        [
            {
                "model": score.candidate.name,
                "role": _role(evaluation, score, Objective.RANKING),
                "NDCG": _with_interval(score.measure("ndcg")),
                "beside the greatest": _standing(evaluation, score, "ndcg", "greatest"),
                "stratified": score.measure("stratified_ndcg").value,
                "recall": score.measure("recall").value,
                "MAP": score.measure("map").value,
                "hit rate": score.measure("hit_rate").value,
                "coverage": _percent(score.measure("coverage")),
                "Gini": score.measure("gini").value,
                "novelty": score.measure("novelty").value,
                "diversity": score.measure("diversity").value,
                "popularity lift": _percent(score.measure("popularity_lift"), "+"),
            }
            for score in evaluation.scores
        ],
    )
    # What is only to make lists predicts nothing for new users, and its scores are no ratings.
    predicting = [score for score in evaluation.scores if Objective.RATING in score.candidate.objectives]
    yield (
        "RMSE by slice",
        [
            {"slice": name, **{score.candidate.name: score.measure("rmse", name).value for score in predicting}}
            | {"which is": meaning}
            for name, meaning in evaluation.slices.items()
            if not name.startswith(_NO_TABLE)
        ],
    )
    missing = list(_missing(evaluation))
    if missing:
        yield "No figure", missing


def _role(evaluation: Evaluation, score: Score, objective: Objective) -> str:
    """What a model is here: nothing where it competes for the other objective alone."""
    head = evaluation.heads.get(objective)
    if head is not None and head.chosen == score.candidate.name:
        return f"head ({head.status})"
    return score.candidate.role if objective in score.candidate.objectives else ""


def _with_interval(measure: Measure) -> str | None:
    if measure.value is None:
        return None
    if measure.low is None or measure.high is None:
        return f"{measure.value:.4f}"
    return f"{measure.value:.4f} ({measure.low:.3f} to {measure.high:.3f})"


def _percent(measure: Measure, sign: str = "") -> str | None:
    return None if measure.value is None else f"{100 * measure.value:{sign}.1f} %"


def _standing(evaluation: Evaluation, score: Score, metric: str, best_is: Literal["least", "greatest"]) -> str | None:
    """How a model compares, paired, with the one that has the best figure."""
    own = score.measure(metric)
    if own.value is None:
        return None
    figures = {other.candidate.name: other.measure(metric).value for other in evaluation.scores}
    known = {name: figure for name, figure in figures.items() if figure is not None}
    best = (min if best_is == "least" else max)(known, key=lambda name: known[name])
    if best == score.candidate.name:
        return best_is
    compared = evaluation.compare(score.candidate.name, best, own.metric)
    assert compared is not None  # both have a figure
    if compared.p_value is None:
        return f"unknown: {compared.reason}"
    verdict = "tie" if compared.tie else "worse"
    return f"{verdict}, {compared.difference:+.4f} (p {compared.p_value:.3f})"


def _missing(evaluation: Evaluation) -> Iterator[dict[str, str]]:
    """Each reason once, with the models and metrics it is true of."""
    reasons: dict[str, tuple[list[str], list[str]]] = {}
    for score in evaluation.scores:
        for measure in score.measures:
            if measure.value is None:
                models, metrics = reasons.setdefault(str(measure.reason), ([], []))
                models.append(score.candidate.name)
                metrics.append(measure.metric if measure.slice == "all" else f"{measure.metric} of {measure.slice}")
    for reason, (models, metrics) in reasons.items():
        named = list(dict.fromkeys(metrics))
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        yield {"why": reason, "models": ", ".join(dict.fromkeys(models)), "metrics": ", ".join(named[:3]) + more}
