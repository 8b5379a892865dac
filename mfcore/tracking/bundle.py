"""A model's folder in the registry: its arrays with a manifest, so that nothing else is taken for them."""

from pathlib import Path

from mfcore.errors import MfcoreError, SourceUnavailable, clause
from mfcore.models.model import Model
from mfcore.storage.artifacts import damage, write_manifest

__all__ = ["BUNDLE", "load_bundle", "save_bundle"]

BUNDLE = "bundle"
"""Name of the folder among a served model's artifacts."""


def save_bundle(model: Model, folder: Path) -> None:
    """Write the model into `folder`, and a manifest with the sha256 of each file."""
    model.save(folder)
    write_manifest(folder, kind="model")


def load_bundle(folder: Path, name: str) -> Model:
    """Read what `save_bundle` wrote, if it still is that; nothing is unpickled.

    Args:
        folder: where it lies.
        name: what messages call it.

    Raises:
        SourceUnavailable: a file is missing or differs from the manifest, or holds what no model has.
    """
    problem = damage(folder)
    if problem is None:
        try:
            return Model.load(folder)
        except (MfcoreError, ValueError, KeyError, TypeError, OSError) as error:
            problem = clause(error)
    raise SourceUnavailable(
        f"{name} is damaged: {problem}. Promote another version, or run `mfcore run` to make one anew."
    )
