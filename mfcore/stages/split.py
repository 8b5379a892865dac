"""Split: from ratings to train, validation and test."""

from pathlib import Path
from typing import Any

from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.stages.context import Context
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.kinds import Kind

__all__ = ["split_ratings"]

_CODE = code_of("mfcore.data.ratings", "mfcore.data.splitting")


def split_ratings(context: Context, ratings: Artifact | None = None) -> Artifact:
    """Split the ratings; nothing of a later part is in an earlier one.

    Raises:
        MfcoreError: a stage before is run because its output is lacking, and fails.
        UsageError: a part would be empty, or a split by time is asked of ratings without times.
    """
    source = context.input(ratings, Kind.RATINGS)
    parts = context.observer.step("split", lambda: _split(context, source))
    counts = parts.details
    dropped = "".join(f"; {count:,} {reason}" for reason, count in counts["dropped"].items())
    return context.report(
        parts, f"{counts['train']:,} train, {counts['validation']:,} validation, {counts['test']:,} test{dropped}"
    )


def _split(context: Context, ratings: Artifact) -> Artifact:
    """Split the ratings, unless that has been done."""
    config = context.config.split
    key = fingerprint("splits", _CODE, ratings.fingerprint, config.model_dump())

    def write(folder: Path) -> dict[str, Any]:
        parts = split(Ratings.load(ratings.path), config)
        parts.save(folder)
        sizes = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
        return {**sizes, "dropped": parts.dropped}

    return context.store.make(Kind.SPLITS, ratings.dataset, key, write, [ratings])
