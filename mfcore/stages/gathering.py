"""Gathering: what a report shows, from the store, the registry and the newest evaluation."""

import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mfcore.data.acceptance import CHECKS
from mfcore.data.catalog import KNOWN
from mfcore.data.page import charts
from mfcore.data.ratings import Ratings
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.errors import NothingToWorkFrom, SourceUnavailable, clause
from mfcore.evaluation.scoring import Evaluation
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models.factors import Factors
from mfcore.models.knn import ItemKNN
from mfcore.models.model import Model
from mfcore.report.audience import Audience
from mfcore.report.contents import Item, Report
from mfcore.report.items import neighborhoods
from mfcore.report.posters import Film, Posters
from mfcore.serving.published import latest_manifest
from mfcore.stages.compare import fitted
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.stages.levers import levers_of
from mfcore.stages.tune import load_tuned
from mfcore.storage.artifacts import Artifact
from mfcore.storage.kinds import Kind
from mfcore.tracking.card import period
from mfcore.tracking.nights import last_nights
from mfcore.tracking.registry import Registered
from mfcore.tracking.trial_figures import by_objective, history, learning_curves
from mfcore.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["exported_at", "gather"]

logger = logging.getLogger("mfcore.stages")

_MOST_FOUND = 20_000
"""Titles and users that the search knows."""
_MOST_FOR_LEVERS = 2_000_000
"""Ratings up to which a report measures levers; beyond, `mfcore evaluate --levers` takes the minutes that it needs."""


def gather(context: Context, champion: Registered, user_ids: Sequence[str] = ()) -> Report:
    """All that pages about a data set show.

    Args:
        context: of the data set.
        champion: its champion.
        user_ids: who gets a page; by default six users, of short and long histories, who liked a test item.

    Raises:
        NothingToWorkFrom: there is no evaluation any more, or not what it was made from.
        UsageError: a user nobody knows.
        SourceUnavailable: the champion's files are not available.
    """
    evaluation = context.store.newest(Kind.EVALUATIONS, champion.dataset)
    splits = context.store.input(evaluation, Kind.SPLITS)
    data = context.store.input(splits, Kind.RATINGS)
    snapshot, parts, result = Snapshot.load(data.path), Split.load(splits.path), load_evaluation(evaluation)
    ratings = snapshot.ratings
    audience = Audience.of(ratings, parts, context.config)
    users = audience.chosen(user_ids, context.config.split.seed)
    evaluator = Evaluator(ratings, parts, snapshot.items, context.config.evaluation)
    known = evaluator.known
    heads = _heads(context, result, known)
    neighbors = ItemKNN.for_lists(known.scale).train(known) if context.config.lists.knn_share else None
    model = Model.of(heads[Objective.RATING], known, snapshot.items, heads.get(Objective.RANKING), neighbors)
    people = audience.people(model, users)
    bundle = context.registry.pull(champion)
    tuned = load_tuned(context.store.input(evaluation, Kind.STUDIES))
    checks = json.loads((data.path / CHECKS).read_text(encoding="utf-8"))
    popular = np.argsort(-bundle.n_ratings, kind="stable")[:_MOST_FOUND]
    shown = {person.user_id for person in people}
    others = [user for user in map(str, ratings.user_ids[: _MOST_FOUND + len(shown)]) if user not in shown]
    described = KNOWN.get(champion.dataset)
    report = Report(
        dataset=champion.dataset,
        title=champion.dataset if described is None else described.title,
        made_at=datetime.now(UTC),
        champion=champion,
        evaluation=result,
        night=last_nights(context.settings, champion.dataset)[0],
        exported_at=exported_at(context, champion.dataset),
        facts=_facts(ratings, data),
        charts=charts(ratings),
        drift=[row for row in checks if "measure" in row],
        warnings=data.details["warnings"],
        tuned=tuned,
        figures=_figures(tuned.values()),
        levers=levers_of(model, evaluator, context.config.lists) if len(ratings) <= _MOST_FOR_LEVERS else [],
        people=people,
        neighborhoods=neighborhoods(_side_by_side(context, bundle)),
        posters={},
        titles=[(str(bundle.titles[code]), int(bundle.n_ratings[code])) for code in popular],
        user_ids=others[: max(_MOST_FOUND - len(popular), 0)],
    )
    return replace(report, posters=_posters(context, report.items))


def _heads(context: Context, result: Evaluation, known: Ratings) -> dict[Objective, Factors]:
    """What an evaluation chose, as it was scored: from MLflow, or trained anew where it is not there."""
    made: dict[str, Factors] = {}
    for objective, recipe in result.recipes.items():
        if recipe.fingerprint in made:
            continue
        uri = result.chosen(objective).model_uri if objective in result.heads else None
        try:
            model = None if uri is None else context.registry.pull_logged(uri)
        except SourceUnavailable as error:
            logger.info("report: %s is trained anew: %s", recipe.algorithm, clause(error))
            model = None
        made[recipe.fingerprint] = recipe.build().train(known) if model is None else model.factors
    return {objective: made[recipe.fingerprint] for objective, recipe in result.recipes.items()}


def _side_by_side(context: Context, bundle: Model) -> dict[str, Model]:
    """The champion's model and, where its table of neighbors is not too large, item kNN's."""
    heads = {"ranking head": bundle}
    few = len(bundle.item_ids) <= context.config.evaluation.max_baseline_items
    return {**heads, "item kNN": fitted(context, ["knn"])["knn"]} if few else heads


def _posters(context: Context, items: Iterable[Item]) -> dict[Item, Path]:
    """Pictures of the items that are films, where there is a key to ask for them by."""
    key = os.environ.get("TMDB_API_KEY", "").strip()
    films = {item: film for item in items if (film := Film.of(item)) is not None} if key else {}
    kept = Posters(context.settings.home / "posters", key).of(films.values()) if films else {}
    return {item: kept[film] for item, film in films.items() if film in kept}


def exported_at(context: Context, dataset: str) -> datetime | None:
    """When the export was made that readers find; None: there is none."""
    try:
        return datetime.fromisoformat(latest_manifest(context.settings, dataset)["made_at"])
    except NothingToWorkFrom:
        return None


def _facts(ratings: Ratings, data: Artifact) -> dict[str, str]:
    days = period(ratings)
    return {
        "ratings": f"{len(ratings):,}",
        "users": f"{ratings.n_users:,}",
        "items": f"{ratings.n_items:,}",
        "of all pairs rated": f"{len(ratings) / (ratings.n_users * ratings.n_items):.2%}",
        "mean rating": f"{data.details['mean']:.3f}",
        "scale": f"{ratings.scale.minimum:g} to {ratings.scale.maximum:g}",
        **(dict(zip(("first day", "last day"), days, strict=True)) if days else {}),
        "in quarantine": f"{data.details['quarantined']:,}",
    }


def _figures(tuned: Iterable[Tuned]) -> "dict[str, Figure]":
    """How each objective's search and its trials went."""
    figures: dict[str, Figure] = {}
    for objective, scored in by_objective(study.trials for study in tuned).items():
        figures[f"{objective}_optimization_history"] = history(scored)
        figures[f"{objective}_learning_curves"] = learning_curves(scored)
    return figures
