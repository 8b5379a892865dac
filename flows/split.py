"""Split: from ratings to train, validation and test."""

from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.common import input_artifact, open_store, report
from flows.validate import validate
from mfcore.config import PipelineConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split as split_ratings
from mfcore.storage.artifacts import Artifact, code_of, fingerprint

__all__ = ["split"]

_CODE = code_of("mfcore.data.ratings", "mfcore.data.splitting")


@flow(name="split")
def split(
    config: PipelineConfig = PipelineConfig(), ratings: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Split the ratings; nothing of a later part is in an earlier one."""
    parts = part(config, input_artifact(ratings, "ratings", config, partial(validate, run_id=run_id)))
    counts = parts.details
    dropped = "".join(f"; {count:,} {reason}" for reason, count in counts["dropped"].items())
    return report(
        parts, f"{counts['train']:,} train, {counts['validation']:,} validation, {counts['test']:,} test{dropped}"
    )


@task(cache_policy=NO_CACHE)
def part(config: PipelineConfig, ratings: Artifact) -> Artifact:
    """Split the ratings, unless that has been done."""
    key = fingerprint("splits", _CODE, ratings.fingerprint, config.split.model_dump())

    def write(folder: Path) -> dict[str, Any]:
        parts = split_ratings(Ratings.load(ratings.path), config.split)
        parts.save(folder)
        sizes = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
        return {**sizes, "dropped": parts.dropped}

    return open_store().make("splits", ratings.dataset, key, write, [ratings])
