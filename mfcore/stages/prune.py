"""Prune: what has not been used for long and nothing needs goes, by age and count."""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mfcore.errors import NothingToWorkFrom
from mfcore.serving.published import old_objects
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.storage.kinds import Kind
from mfcore.storage.retention import (
    Leftover,
    Rule,
    abandoned,
    old_artifacts,
    old_exports,
    old_journals,
    old_quarantine,
    old_replays,
    remove,
)
from mfcore.tracking.registry import Registered
from mfcore.tracking.retention import Shelf, empty_trash, known_datasets

__all__ = ["prune", "summary"]

logger = logging.getLogger("mfcore.stages")


def prune(context: Context, *, for_good: bool = False) -> list[Leftover]:
    """Find what may go, of every data set, by `[retention]` of the configuration; `for_good`, remove it.

    Runs of this home folder are waited for, and wait meanwhile. What stays whatever its age: the newest of its
    kind, versions with an alias or rolled back and their models, what `latest` points to, the ratings
    that such a version was trained on, each study's best trials, the runs of pipelines with their figures,
    and whatever something that stays was made from.

    Returns:
        What may go; or, `for_good`, what went.

    Raises:
        SourceUnavailable: MLflow, or an object store that exports go to, does not answer.
        UsageError: a folder can't be written.
    """
    if not for_good:
        return _find(context)
    with context.store.in_use(alone=True):
        leftovers = _find(context)
        _remove(context, leftovers)
    return leftovers


def summary(leftovers: Sequence[Leftover]) -> list[dict[str, Any]]:
    """How many of what, from when, and how large; a row for each kind of thing."""
    kinds: dict[str, list[Leftover]] = defaultdict(list)
    for leftover in leftovers:
        kinds[leftover.what].append(leftover)
    return [
        {
            "what": what,
            "count": len(some),
            "MB": round(sum(leftover.n_bytes for leftover in some) / 1e6, 1),
            "oldest": _day(min(leftover.used_at for leftover in some)),
            "newest": _day(max(leftover.used_at for leftover in some)),
        }
        for what, some in kinds.items()
    ]


def _find(context: Context) -> list[Leftover]:
    """All that may go, in the order in which it is removed: at no time is anything there without what it needs."""
    config, settings, store = context.config.retention, context.settings, context.store
    rule = Rule(before=time.time() - config.days * 24 * 3600, keep=config.keep)
    shelves = {name: Shelf(settings, name) for name in sorted(known_datasets(settings))}
    versions = {name: shelf.old_versions(rule) for name, shelf in shelves.items()}
    staying: dict[str, list[Registered]] = {name: stay for name, (_, stay) in versions.items()}
    aliased = {name: [version for version in stay if version.aliases] for name, stay in staying.items()}

    trained_on = {version.data for some in aliased.values() for version in some}
    artifacts = old_artifacts(store, rule, trained_on)

    def needed(dataset: str) -> set[int]:
        return {version.version for version in aliased.get(dataset, ())}

    exports = old_exports(settings.exports, rule, needed)
    if settings.exports_url is not None:
        exports += old_objects(settings.exports_url, rule, needed)
    leftovers = [*artifacts, *old_journals(store.home, rule), *old_quarantine(store.home, rule), *exports]
    leftovers += old_replays(store.home, rule)
    leftovers += abandoned(store.home, settings.exports)

    scored = _scored(context, {artifact.path for artifact in artifacts})
    for name, shelf in shelves.items():
        leftovers += versions[name][0]
        leftovers += shelf.old_models(rule, staying[name], scored)
        leftovers += shelf.old_trials(rule, config.best_trials)
    return leftovers


def _scored(context: Context, going: Collection[Path | None]) -> set[str]:
    """URIs of the models of evaluations that stay: a run that reuses one may register the challenger in it."""
    scored = set()
    for path, _ in context.store.manifests(Kind.EVALUATIONS):
        if path not in going:
            # Who can't read one, as after an upgrade, can't reuse it.
            with suppress(NothingToWorkFrom, ValidationError):
                scored |= {score.model_uri for score in load_evaluation(context.store.open(path)).scores}
    return {uri for uri in scored if uri is not None}


def _remove(context: Context, leftovers: Sequence[Leftover]) -> None:
    in_mlflow: dict[str, list[Leftover]] = defaultdict(list)
    for leftover in leftovers:
        if leftover.what in ("version", "model", "trial"):
            in_mlflow[str(leftover.dataset)].append(leftover)
        else:
            remove(leftover)
    for dataset, some in in_mlflow.items():
        Shelf(context.settings, dataset).remove(some)
    empty_trash(context.settings, context.config.retention.days)
    for row in summary(leftovers):
        logger.info("pruned: %d of %s, %.1f MB", row["count"], row["what"], row["MB"])


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))
