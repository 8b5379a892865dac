"""Download: from a data set's name or path to its raw files."""

from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.common import open_store, report
from mfcore.config import PipelineConfig
from mfcore.data import sources
from mfcore.data.catalog import Dataset, resolve
from mfcore.storage.artifacts import Artifact, code_of, fingerprint

__all__ = ["download"]

_CODE = code_of("mfcore.data.archives", "mfcore.data.sources", "mfcore.data.synthetic")


@flow(name="download")
def download(config: PipelineConfig = PipelineConfig()) -> Artifact:
    """Fetch the raw files of a data set from the first source that delivers them."""
    dataset = resolve(config.dataset)
    raw = fetch(dataset)
    return report(raw, f"{dataset.title} from {raw.details['source']}")


@task(cache_policy=NO_CACHE)
def fetch(dataset: Dataset) -> Artifact:
    """Fetch and verify the raw files, unless they are there."""
    store = open_store()
    key = fingerprint("raw", _CODE, sources.identity(dataset))

    def write(folder: Path) -> dict[str, Any]:
        return sources.fetch(dataset, folder, store.home / "downloads")

    return store.make("raw", dataset.name, key, write)
