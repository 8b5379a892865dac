"""Validate: from raw files to checked ratings, with what was refused put into quarantine."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.common import artifact_key, input_artifact, open_store, parent_run, report
from mfcore.artifacts import Artifact, fingerprint, write_file
from mfcore.config import PipelineConfig
from mfcore.data import readers
from mfcore.data.catalog import resolve
from mfcore.data.checks import CheckResult, check
from mfcore.data.ratings import Ratings
from mfcore.errors import DataInvalid
from mfcore.settings import Settings
from mfcore.tracking.runs import Experiment

__all__ = ["CHECKS", "ITEMS", "QUARANTINE", "validate"]

_VERSION = 1
CHECKS, ITEMS, QUARANTINE = "checks.json", "items.parquet", "quarantine.csv"


@flow(name="validate")
def validate(
    config: PipelineConfig = PipelineConfig(), raw: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Read the raw files and check them; rows that fail are set aside, a table that fails stops the run."""
    raw = input_artifact(raw, "raw", resolve(config.dataset).name)
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
    """Read, check and intern the ratings, unless that has been done."""
    columns = config.dataset.model_dump(exclude={"name"})
    key = fingerprint("ratings", _VERSION, raw.fingerprint, columns, config.validation.model_dump())
    store = open_store()

    def write(folder: Path) -> dict[str, Any]:
        tables = readers.read(raw.path, raw.details, config.dataset)
        result = check(tables, config.validation)
        if result.problems:
            aside = store.home / "quarantine" / f"{raw.dataset}-{key}.csv"
            _refuse(result, aside, experiment, parent)
        ratings = Ratings.from_frame(result.ratings, result.scale)
        ratings.save(folder)
        if tables.items is not None:
            tables.items.to_parquet(folder / ITEMS, index=False)
        result.quarantine.to_csv(folder / QUARANTINE, index=False)
        (folder / CHECKS).write_text(json.dumps(result.results, indent=1), encoding="utf-8")
        return {
            "ratings": len(ratings),
            "users": ratings.n_users,
            "items": ratings.n_items,
            "mean": float(ratings.values.mean(dtype="float64")),
            "quarantined": len(result.quarantine),
        }

    return store.make("ratings", raw.dataset, key, write, [raw])


def _refuse(result: CheckResult, aside: Path, experiment: Experiment, parent: str) -> None:
    """Stop the run, leaving the checks in MLflow and the refused rows in a file."""
    _show(result.results, experiment.dataset)
    experiment.client.log_dict(parent, {"checks": result.results}, CHECKS)
    where = ""
    if len(result.quarantine):
        aside.parent.mkdir(parents=True, exist_ok=True)
        write_file(aside, result.quarantine.to_csv(index=False))
        where = f" Rows and reasons: {aside}"
    raise DataInvalid(f"{experiment.dataset} failed validation: {'; '.join(result.problems)}.{where}")


@task(cache_policy=NO_CACHE)
def publish(ratings: Artifact, experiment: Experiment, parent: str) -> None:
    """Show the checks in Prefect and keep them, with the quarantine, in MLflow."""
    results = json.loads((ratings.path / CHECKS).read_text(encoding="utf-8"))
    _show(results, ratings.dataset)
    experiment.client.log_dict(parent, {"checks": results}, CHECKS)
    if ratings.details["quarantined"]:
        experiment.client.log_artifact(parent, str(ratings.path / QUARANTINE))
    experiment.log_dataset(parent, ratings.fingerprint, ratings.path, ratings.details["ratings"], "all")
    experiment.tag(parent, {"data": ratings.fingerprint})


def _show(results: list[dict[str, Any]], dataset: str) -> None:
    create_table_artifact(
        key=artifact_key("checks", dataset), table=results, description=f"Checks of the ratings of {dataset}"
    )


def load_items(ratings: Artifact) -> pd.DataFrame | None:
    """The item table of checked ratings, where the source has one."""
    path = ratings.path / ITEMS
    return pd.read_parquet(path) if path.is_file() else None
