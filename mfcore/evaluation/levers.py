"""What levers cost in NDCG, and what they bring in coverage and diversity."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.config import ListsConfig
from mfcore.data.ratings import find_codes
from mfcore.metrics import Estimate, Evaluator, compare
from mfcore.metrics.beyond_accuracy import coverage
from mfcore.metrics.ranking import rank_statistics
from mfcore.models.model import Model

__all__ = ["cost_of_levers", "levers_tried"]

_NONE = "none"
_MIN_RATINGS = 20


def levers_tried(configured: ListsConfig, model: Model) -> dict[str, ListsConfig]:
    """Each lever alone at one or two settings, as far as the model and its table of items allow it.

    Those of the configuration follow, if it has any, but for its lists of ids.
    """
    has_genres = model.items is not None and "genres" in model.items
    settings: list[tuple[str, float]] = [
        *([("min_ratings", _MIN_RATINGS)] if (model.n_ratings >= _MIN_RATINGS).any() else []),
        ("diversity", 0.1),
        ("diversity", 0.3),
        ("popularity_penalty", 0.3),
        ("popularity_penalty", 1.0),
        *([("max_genre_share", 0.3)] if has_genres else []),
        ("max_popularity_share", 0.5),
        *([("caution", 0.5), ("caution", 1.0)] if model.lists.n_draws > 1 else []),
        *([("knn_share", 0.5)] if model.neighbors is not None else []),
    ]
    tried = {f"{name} {value:g}": ListsConfig.model_validate({name: value}) for name, value in settings}
    configured = configured.model_copy(update={"allow": None, "deny": None})
    return tried if configured == ListsConfig() else {**tried, "as configured": configured}


def cost_of_levers(model: Model, evaluator: Evaluator, tried: Mapping[str, ListsConfig]) -> Iterator[dict[str, Any]]:
    """A row per setting: figures of its lists on test ratings, and the NDCG that they lose, paired over users.

    Args:
        model: trained on the evaluator's training ratings.
        evaluator: of the same ratings.
        tried: name → levers.

    Returns:
        lever, ndcg, cost (NDCG without levers less that with them) with its 95 % interval in low and high (None
        where fewer than five users tell the lists apart), coverage, diversity, novelty, popularity_lift, and length,
        the mean number of items in a list.

    Raises:
        UsageError: levers that ask for what the table of items does not have, or leave no item.
    """
    plain: Estimate | None = None
    for name, asked in {_NONE: ListsConfig(), **tried}.items():
        items = _lists(model, evaluator, asked)
        figures = _figures(evaluator, items)
        ndcg = figures["ndcg"]
        plain = plain or ndcg
        cost = compare(_NONE, plain, name, ndcg, "ndcg")
        yield {
            "lever": name,
            "ndcg": _or_none(ndcg.value),
            "cost": cost and cost.difference,
            "low": cost and cost.low,
            "high": cost and cost.high,
            "coverage": coverage(items, len(model.item_ids)),
            **{measure: _or_none(figures[measure].value) for measure in ("diversity", "novelty", "popularity_lift")},
            "length": float((items >= 0).sum(axis=1).mean()),
        }


def _lists(model: Model, evaluator: Evaluator, asked: ListsConfig) -> NDArray[np.int32]:
    """The lists of the evaluator's users, (n_users, k)."""
    k = evaluator.ks[0]
    frame = model.recommend(model.user_ids[evaluator.users], k, min_ratings=asked.min_ratings, levers=asked.levers)
    items = np.full((len(evaluator.users), k), -1, np.int32)
    rows = np.searchsorted(evaluator.users, find_codes(model.user_ids, frame["user_id"]))
    items[rows, frame["rank"].to_numpy() - 1] = find_codes(model.item_ids, frame["item_id"])
    return items


def _figures(evaluator: Evaluator, items: NDArray[np.int32]) -> dict[str, Estimate]:
    """NDCG, diversity, novelty and popularity lift of lists."""
    users, k = evaluator.users, evaluator.ks[0]
    hits, n_relevant = evaluator.relevant.hits(users, items), evaluator.relevant.counts(users)
    everybody = np.ones(len(users), np.bool_)
    statistics = {
        **rank_statistics(hits, n_relevant, k, evaluator.no_relevant),
        **evaluator.profiles.statistics(users, items, k, everybody, "nobody has a list"),
    }
    estimates = evaluator.bootstrap.estimate(statistics.values())
    return {name.partition("_at_")[0]: estimate for name, estimate in zip(statistics, estimates, strict=True)}


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
