"""Report: static pages about the last night, gathered from the store, the registry and the newest evaluation."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from mfcore.data.acceptance import CHECKS
from mfcore.data.catalog import KNOWN
from mfcore.data.page import charts
from mfcore.data.ratings import Ratings
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.errors import NothingToWorkFrom, UsageError
from mfcore.metrics.objective import Objective
from mfcore.models.model import Model
from mfcore.report.audience import Audience
from mfcore.report.contents import Report
from mfcore.report.items import neighborhoods
from mfcore.report.pages import INDEX, write_pages
from mfcore.serving.published import latest_manifest
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.stages.tune import load_tuned
from mfcore.storage.artifacts import MANIFEST, Artifact, write_manifest
from mfcore.storage.files import locked, new_folder
from mfcore.storage.kinds import Kind
from mfcore.tracking.card import period
from mfcore.tracking.nights import last_nights
from mfcore.tracking.registry import Registered
from mfcore.tracking.trial_figures import history, learning_curves
from mfcore.tuning import Tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Reported", "make_report"]

_KIND = "report"
_MOST_FOUND = 20_000
"""Titles and users that the search knows."""


class Reported(BaseModel):
    """Where a report lies, and what it takes."""

    path: Path
    index: Path
    users: list[str]
    n_bytes: int


def make_report(context: Context, user_ids: Sequence[str] = (), output: Path | None = None) -> Reported:
    """Write pages about a data set's champion and newest evaluation into one folder, whole or not at all.

    Args:
        context: of the data set.
        user_ids: who gets a page; by default six users, of short and long histories, who liked a test item.
        output: the folder; by default `report` beside the data set's exports. A report that is there is replaced.

    Raises:
        NothingToWorkFrom: there is no champion, or no evaluation any more.
        UsageError: a user nobody knows, or a folder that holds something else.
        SourceUnavailable: the champion's files are not available.
    """
    registered = context.registry.require_champion()
    target = (output or context.settings.exports / registered.dataset / "report").absolute()
    _refuse_others(target)
    report = context.observer.step("gather", lambda: _gather(context, registered, user_ids))
    context.observer.step("write", lambda: _write(report, target))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    reported = Reported(
        path=target, index=target / INDEX, users=[person.user_id for person in report.people], n_bytes=size
    )
    context.experiment.tag(registered.run_id, {"report": str(reported.index)})
    context.observer.show_text(f"report-{registered.dataset}", f"Pages about the last night: `{reported.index}`")
    return reported


def _write(report: Report, target: Path) -> None:
    """Write the pages where those of an earlier report may be; who comes at the same time waits."""
    with locked(target), new_folder(target, replace=True) as folder:
        write_pages(report, folder)
        write_manifest(folder, kind=_KIND, dataset=report.dataset, model_version=report.champion.version)


def _refuse_others(target: Path) -> None:
    """See to it that nothing but a report is replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        is_report = json.loads((target / MANIFEST).read_text(encoding="utf-8")).get("kind") == _KIND
    except (OSError, ValueError, AttributeError):
        is_report = False
    if not is_report:
        raise UsageError(f"{target} holds something else than a report: name a folder that is new or empty.")


def _gather(context: Context, champion: Registered, user_ids: Sequence[str]) -> Report:
    evaluation = context.store.newest(Kind.EVALUATIONS, champion.dataset)
    splits = context.store.input(evaluation, Kind.SPLITS)
    data = context.store.input(splits, Kind.RATINGS)
    snapshot, parts, found = Snapshot.load(data.path), Split.load(splits.path), load_evaluation(evaluation)
    ratings = snapshot.ratings
    audience = Audience.of(ratings, parts, context.config)
    users = audience.chosen(user_ids, context.config.split.seed)
    known = ratings.take(parts.known)
    fits = {recipe.fingerprint: recipe for recipe in found.recipes.values()}
    trained = {name: recipe.build().train(known) for name, recipe in fits.items()}
    heads = {objective: trained[recipe.fingerprint] for objective, recipe in found.recipes.items()}
    model = Model.of(heads[Objective.RATING], known, snapshot.items, heads.get(Objective.RANKING))
    people = audience.people(model, users)
    bundle = context.registry.pull(champion)
    tuned = load_tuned(context.store.input(evaluation, Kind.STUDIES))
    checks = json.loads((data.path / CHECKS).read_text(encoding="utf-8"))
    popular = np.argsort(-bundle.n_ratings, kind="stable")[:_MOST_FOUND]
    shown = {person.user_id for person in people}
    others = [user for user in map(str, ratings.user_ids[: _MOST_FOUND + len(shown)]) if user not in shown]
    described = KNOWN.get(champion.dataset)
    return Report(
        dataset=champion.dataset,
        title=champion.dataset if described is None else described.title,
        made_at=datetime.now(UTC),
        champion=champion,
        evaluation=found,
        night=last_nights(context.settings, champion.dataset)[0],
        exported_at=_exported_at(context, champion.dataset),
        facts=_facts(ratings, data),
        charts=charts(ratings),
        drift=[row for row in checks if "measure" in row],
        warnings=data.details["warnings"],
        tuned=tuned,
        figures=_figures(tuned.values()),
        people=people,
        neighborhoods=neighborhoods(bundle),
        titles=[(str(bundle.titles[code]), int(bundle.n_ratings[code])) for code in popular],
        user_ids=others[: max(_MOST_FOUND - len(popular), 0)],
    )


def _exported_at(context: Context, dataset: str) -> datetime | None:
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
    scored = [[trial for trial in some.trials if trial.value is not None] for some in tuned]
    found: dict[str, Figure] = {}
    for objective in Objective:
        own = {some[0].algorithm: some for some in scored if some and some[0].objective is objective}
        if own:
            found[f"{objective}_optimization_history"] = history(own)
            found[f"{objective}_learning_curves"] = learning_curves(own)
    return found
