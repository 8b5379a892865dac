"""Download: from a data set's name or path to its raw files."""

from pathlib import Path
from typing import Any

from mfcore.data import sources
from mfcore.stages.context import Context
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.kinds import Kind

__all__ = ["download_raw"]

_CODE = code_of("mfcore.data.archives", "mfcore.data.sources", "mfcore.data.synthetic")


def download_raw(context: Context) -> Artifact:
    """Fetch the raw files of the data set from the first source that delivers them.

    Raises:
        UsageError: the data set's name is not known.
        SourceUnavailable: no source delivers them.
    """
    raw = context.observer.step("fetch", lambda: _fetch(context))
    return context.report(raw, f"{context.dataset.title} from {raw.details['source']}")


def _fetch(context: Context) -> Artifact:
    """Fetch and verify the raw files, unless they are there."""
    dataset, store = context.dataset, context.store
    key = fingerprint("raw", _CODE, sources.identity(dataset))

    def write(folder: Path) -> dict[str, Any]:
        return sources.fetch(dataset, folder, store.home / "downloads")

    return store.make(Kind.RAW, dataset.name, key, write)
