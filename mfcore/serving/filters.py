"""The section `lists` of the configuration as `Model.recommend` takes it."""

from pathlib import Path
from typing import Any

from mfcore.config import ListsConfig
from mfcore.errors import SourceUnavailable, first_line
from mfcore.storage.artifacts import fingerprint

__all__ = ["asked_of", "filters_of"]


def filters_of(config: ListsConfig) -> dict[str, Any]:
    """`min_ratings`, levers, and the ids in the two files, by the names of `Model.recommend`'s arguments.

    Raises:
        SourceUnavailable: a file can't be read.
    """
    return {
        "min_ratings": config.min_ratings,
        "levers": config.levers,
        "only_items": _ids(config.allow),
        "exclude_items": _ids(config.deny),
    }


def asked_of(filters: dict[str, Any]) -> dict[str, Any]:
    """What tells filters apart in a manifest: `min_ratings`, the levers, and digests of the ids."""
    ids = {name: filters[name] and fingerprint(filters[name]) for name in ("only_items", "exclude_items")}
    return {"min_ratings": filters["min_ratings"], **filters["levers"].model_dump(mode="json"), **ids}


def _ids(path: Path | None) -> list[str] | None:
    """The ids in a file, one per line; None without a file."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = first_line(error) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SourceUnavailable(f"the list of items {path} can't be read: {reason}.") from error
    return [line.strip() for line in lines if line.strip()]
