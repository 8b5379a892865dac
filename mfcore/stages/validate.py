"""Validate: from raw files to checked ratings, with what was refused put into quarantine."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from mfcore.data import readers
from mfcore.data.acceptance import CHECKS, PAGE, QUARANTINE, Acceptance, accept
from mfcore.data.snapshot import Snapshot
from mfcore.errors import DataInvalid, NothingToWorkFrom, counted
from mfcore.stages.context import Context, ParentRun
from mfcore.storage.artifacts import Artifact, ArtifactStore, code_of, fingerprint
from mfcore.storage.files import scratch_folder, write_file
from mfcore.storage.kinds import Kind

__all__ = ["validate_raw"]

logger = logging.getLogger("mfcore.stages")

_CODE = code_of("mfcore.data")


def validate_raw(context: Context, raw: Artifact | None = None) -> Artifact:
    """Read the raw files and check them; rows that fail are set aside, a table that fails stops the run.

    Raises:
        MfcoreError: a stage before is run because its output is lacking, and fails.
        DataInvalid: the ratings fail the checks, or can't be read.
    """
    source = context.input(raw, Kind.RAW)
    with context.parent_run("validate") as run:
        ratings = context.observer.step("read_and_check", lambda: _read_and_check(context, source, run))
        context.observer.step("publish", lambda: _publish(context, ratings, run))
    counts = ratings.details
    return context.report(
        ratings,
        f"{counted(counts['ratings'], 'rating')} of {counted(counts['users'], 'user')} on "
        f"{counted(counts['items'], 'item')}, {counted(counts['quarantined'], 'row')} in quarantine",
    )


def _read_and_check(context: Context, raw: Artifact, run: ParentRun) -> Artifact:
    """Read, check and intern the ratings, unless that has been done; append them to the last ones if asked to."""
    config, store = context.config, context.store
    has_previous = store.has(Kind.RATINGS, raw.dataset)
    base = store.newest(Kind.RATINGS, raw.dataset) if has_previous and config.dataset.mode == "append" else None
    columns = config.dataset.model_dump(exclude={"name", "source", "url"})
    asked = fingerprint(_CODE, raw.fingerprint, columns, config.validation.model_dump())
    if base is not None and base.details.get("asked") == asked:
        logger.info("nothing new: these ratings were the last to be accepted")
        return base
    key = fingerprint("ratings", asked, base and base.fingerprint)
    known = store.find(Kind.RATINGS, raw.dataset, key)
    if known is not None:
        return known
    previous = base or (_last_accepted(store, raw.dataset) if has_previous else None)
    with scratch_folder() as scratch:
        docs = scratch / "data_docs"
        docs.mkdir()
        tables = readers.read(raw.path, raw.details, config.dataset)
        acceptance = accept(tables, config, Snapshot.load(previous.path) if previous else None, docs)
        if acceptance.problems:
            _refuse(context, acceptance, f"{raw.dataset}-{key}", run.id)
        drift = acceptance.drift.warnings if acceptance.drift else []
        for warning in drift:
            logger.warning("%s", warning)
        if drift:
            context.observer.announce("data.drifted", raw.dataset, warnings=list(drift))
        if base is not None and acceptance.merged is not None and acceptance.merged.is_unchanged:
            logger.info("nothing new: each of these ratings was accepted before")
            return base

        def write(folder: Path) -> dict[str, Any]:
            shutil.copytree(docs, folder / docs.name)
            return {**acceptance.save(folder, raw.dataset), "asked": asked}

        return store.make(Kind.RATINGS, raw.dataset, key, write, [raw])


def _last_accepted(store: ArtifactStore, dataset: str) -> Artifact | None:
    """What new ratings are compared with; that can be done without."""
    try:
        return store.newest(Kind.RATINGS, dataset)
    except NothingToWorkFrom as error:
        logger.warning("drift is not measured: %s", error)
        return None


def _refuse(context: Context, acceptance: Acceptance, name: str, run_id: str) -> None:
    """Stop the run, leaving the checks in MLflow, and a page and the refused rows in files."""
    dataset = context.dataset_name
    _show(context, acceptance.results)
    context.experiment.log_dict(run_id, {"checks": acceptance.results}, CHECKS)
    quarantine = context.store.home / "quarantine"
    quarantine.mkdir(parents=True, exist_ok=True)
    page, rows = quarantine / f"{name}.html", quarantine / f"{name}.csv"
    write_file(page, acceptance.page(dataset))
    where = f"See {page}"
    if len(acceptance.checked.quarantine):
        write_file(rows, acceptance.checked.quarantine.to_csv(index=False))
        where += f"; rows and reasons: {rows}"
    context.observer.announce("data.refused", dataset, problems=list(acceptance.problems), page=str(page))
    raise DataInvalid(f"{dataset} failed validation: {'; '.join(acceptance.problems)}. {where}.")


def _publish(context: Context, ratings: Artifact, run: ParentRun) -> None:
    """Show the checks; of ratings that are new, or in a pipeline's run, keep them, page and quarantine in MLflow."""
    experiment = context.experiment
    results = json.loads((ratings.path / CHECKS).read_text(encoding="utf-8"))
    _show(context, results)
    if ratings.reused and not run.has_begun:
        return
    run_id = run.id
    experiment.log_dict(run_id, {"checks": results}, CHECKS)
    experiment.log_artifact(run_id, ratings.path / PAGE)
    if ratings.details["quarantined"]:
        experiment.log_artifact(run_id, ratings.path / QUARANTINE)
    experiment.log_dataset(run_id, ratings.fingerprint, ratings.path, ratings.details["ratings"], "all")
    experiment.tag(run_id, {"data": ratings.fingerprint})


def _show(context: Context, results: list[dict[str, Any]]) -> None:
    dataset = context.dataset_name
    context.observer.show_table(f"checks-{dataset}", results, f"Checks of the ratings of {dataset}")
