"""Validate: from raw files to checked ratings, with what was refused put into quarantine."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.common import artifact_key, input_artifact, logger, open_store, parent_run, report
from flows.download import download
from mfcore.config import PipelineConfig
from mfcore.data import readers
from mfcore.data.acceptance import CHECKS, PAGE, QUARANTINE, Acceptance, accept
from mfcore.data.snapshot import Snapshot
from mfcore.errors import DataInvalid, NothingToWorkFrom
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, ArtifactStore, code_of, fingerprint
from mfcore.storage.files import write_file
from mfcore.tracking.runs import Experiment

__all__ = ["validate"]

_CODE = code_of("mfcore.data")


@flow(name="validate")
def validate(
    config: PipelineConfig = PipelineConfig(), raw: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Read the raw files and check them; rows that fail are set aside, a table that fails stops the run."""
    raw = input_artifact(raw, "raw", config, download)
    experiment = Experiment(Settings.read(), raw.dataset)
    with parent_run(experiment, "validate", config, run_id) as parent:
        ratings = read_and_check(config, raw, experiment, parent)
        publish(ratings, experiment, parent)
    counts = ratings.details
    return report(
        ratings,
        f"{counts['ratings']:,} of {counts['users']:,} users on {counts['items']:,} items, "
        f"{counts['quarantined']:,} rows in quarantine",
    )


@task(cache_policy=NO_CACHE)
def read_and_check(config: PipelineConfig, raw: Artifact, experiment: Experiment, parent: str) -> Artifact:
    """Read, check and intern the ratings, unless that has been done; append them to the last ones if asked to."""
    store = open_store()
    has_previous = store.has("ratings", raw.dataset)
    base = store.newest("ratings", raw.dataset) if has_previous and config.dataset.mode == "append" else None
    columns = config.dataset.model_dump(exclude={"name", "source", "url"})
    asked = fingerprint(_CODE, raw.fingerprint, columns, config.validation.model_dump())
    if base is not None and base.details.get("asked") == asked:
        logger.info("nothing new: these ratings were the last to be accepted")
        return base
    key = fingerprint("ratings", asked, base and base.fingerprint)
    found = store.find("ratings", raw.dataset, key)
    if found is not None:
        return found
    previous = base or (_last_accepted(store, raw.dataset) if has_previous else None)
    with tempfile.TemporaryDirectory(prefix="mfcore-") as scratch:
        docs = Path(scratch) / "data_docs"
        docs.mkdir()
        tables = readers.read(raw.path, raw.details, config.dataset)
        acceptance = accept(tables, config, Snapshot.load(previous.path) if previous else None, docs)
        if acceptance.problems:
            _refuse(acceptance, store.home / "quarantine" / f"{raw.dataset}-{key}", experiment, parent)
        for warning in acceptance.drift.warnings if acceptance.drift else ():
            logger.warning("%s", warning)
        if base is not None and acceptance.merged is not None and acceptance.merged.is_unchanged:
            logger.info("nothing new: each of these ratings was accepted before")
            return base

        def write(folder: Path) -> dict[str, Any]:
            shutil.copytree(docs, folder / docs.name)
            return {**acceptance.save(folder, raw.dataset), "asked": asked}

        return store.make("ratings", raw.dataset, key, write, [raw])


def _last_accepted(store: ArtifactStore, dataset: str) -> Artifact | None:
    """What new ratings are compared with; that can be done without."""
    try:
        return store.newest("ratings", dataset)
    except NothingToWorkFrom as error:
        logger.warning("drift is not measured: %s", error)
        return None


def _refuse(acceptance: Acceptance, aside: Path, experiment: Experiment, parent: str) -> None:
    """Stop the run, leaving the checks in MLflow, and a page and the refused rows in files."""
    _show(acceptance.results, experiment.dataset)
    experiment.log_dict(parent, {"checks": acceptance.results}, CHECKS)
    aside.parent.mkdir(parents=True, exist_ok=True)
    page, rows = aside.with_name(f"{aside.name}.html"), aside.with_name(f"{aside.name}.csv")
    write_file(page, acceptance.page(experiment.dataset))
    where = f"See {page}"
    if len(acceptance.checked.quarantine):
        write_file(rows, acceptance.checked.quarantine.to_csv(index=False))
        where += f"; rows and reasons: {rows}"
    raise DataInvalid(f"{experiment.dataset} failed validation: {'; '.join(acceptance.problems)}. {where}")


@task(cache_policy=NO_CACHE)
def publish(ratings: Artifact, experiment: Experiment, parent: str) -> None:
    """Show the checks in Prefect and keep them, with the page and the quarantine, in MLflow."""
    results = json.loads((ratings.path / CHECKS).read_text(encoding="utf-8"))
    _show(results, ratings.dataset)
    experiment.log_dict(parent, {"checks": results}, CHECKS)
    experiment.log_artifact(parent, ratings.path / PAGE)
    if ratings.details["quarantined"]:
        experiment.log_artifact(parent, ratings.path / QUARANTINE)
    experiment.log_dataset(parent, ratings.fingerprint, ratings.path, ratings.details["ratings"], "all")
    experiment.tag(parent, {"data": ratings.fingerprint})


def _show(results: list[dict[str, Any]], dataset: str) -> None:
    create_table_artifact(
        key=artifact_key("checks", dataset), table=results, description=f"Checks of the ratings of {dataset}"
    )
