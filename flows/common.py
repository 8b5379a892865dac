"""What the stages share: the artifact store, the parent run in MLflow, and how a stage reports."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, ArtifactStore
from mfcore.tracking.runs import Experiment

__all__ = ["artifact_key", "dataset_of", "input_artifact", "open_store", "parent_run", "report"]

logger = logging.getLogger("mfcore.flows")


def open_store() -> ArtifactStore:
    """The artifacts under the home folder."""
    return ArtifactStore(Settings.read().home)


def dataset_of(config: PipelineConfig) -> str:
    """The name of the data set that a configuration is about, under which its artifacts lie.

    Raises:
        UsageError: there is no such data set.
        SourceUnavailable: there is no such file.
    """
    try:
        return resolve(config.dataset).name
    except (UsageError, SourceUnavailable):
        # Files of one's own have their name from the command that fetched them.
        if open_store().has("raw", config.dataset.name):
            return config.dataset.name
        raise


def input_artifact(
    given: Artifact | None, kind: str, config: PipelineConfig, make: Callable[[PipelineConfig], Artifact]
) -> Artifact:
    """The artifact a stage works from: the one it was given, or else what the stage before makes of `config`.

    A stage that has made it before reuses it. Where the configuration names files that were fetched
    by another command and doesn't say where they are, it is the newest of its kind under that name.
    """
    if given is not None:
        return given
    name = config.dataset.name
    try:
        resolve(config.dataset)
    except (UsageError, SourceUnavailable):
        if open_store().has(kind, name):
            return open_store().newest(kind, name)
    return make(config)


def artifact_key(kind: str, *parts: str) -> str:
    """A name that Prefect accepts for an artifact: lower-case letters, digits and dashes."""
    text = "-".join((kind, *parts)).lower()
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)


def report(artifact: Artifact, summary: str) -> Artifact:
    """Say what a stage has made or reused, and hand the artifact on."""
    how = "reused" if artifact.reused else "made"
    logger.info("%s: %s (%s %s)", artifact.kind, summary, how, artifact.fingerprint)
    return artifact


@contextmanager
def parent_run(experiment: Experiment, name: str, config: PipelineConfig, run_id: str | None = None) -> Iterator[str]:
    """The MLflow run that a stage's runs are children of: the pipeline's, or one of its own."""
    if run_id is not None:
        yield run_id
        return
    experiment.end_abandoned()
    with experiment.run(name, tags={"stage": name.split("-")[0]}, params=_flat(config)) as own:
        yield own


def _flat(config: PipelineConfig) -> dict[str, Any]:
    """The configuration as section.key → value, as MLflow lists parameters."""
    tree = config.model_dump(mode="json")
    return {
        f"{section}.{key}": value for section, keys in tree.items() for key, value in keys.items() if value is not None
    }
