"""Exports in an object store: versions that are whole, and an object `latest` that names one of them.

    <url>/<dataset>/latest                    the name of a folder beside it, in a line
    <url>/<dataset>/<version>-<fingerprint>/  an export; its manifest is written last

A folder is never written twice: another export of the same version has another fingerprint. So who
reads `latest` and then the folder that it names finds all of one version.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mfcore.errors import NothingToWorkFrom, SourceUnavailable
from mfcore.settings import Settings
from mfcore.storage.artifacts import MANIFEST, contents
from mfcore.storage.bucket import Bucket
from mfcore.storage.files import ABANDONED_AFTER_S, new_folder, scratch_folder
from mfcore.storage.retention import Leftover, Rule

__all__ = ["LATEST", "copied", "fetch_version", "latest_folder", "latest_manifest", "old_objects", "publish_export"]

logger = logging.getLogger(__name__)

LATEST = "latest"


def publish_export(folder: Path, shelf_url: str) -> str:
    """Copy a whole export into the store, and point `latest` to it when all of it is there.

    Args:
        folder: the export, named by its version.
        shelf_url: of the data set's exports.

    Returns:
        The URL of the folder that `latest` names now.

    Raises:
        SourceUnavailable: the store does not answer or refuses; `latest` is what it was.
    """
    shelf = Bucket(shelf_url)
    name = f"{folder.name}-{contents(folder)}"
    target = shelf / name
    if target.has(MANIFEST):
        logger.info("export: %s is there already", target.url)
    else:
        target.send(folder, last=MANIFEST)
    if latest_folder(shelf) != name:
        shelf.write(LATEST, f"{name}\n")
    _clear(shelf)
    return target.url


def latest_folder(shelf: Bucket) -> str | None:
    """The folder that `latest` names; None before the first export."""
    return shelf.read(LATEST).strip() if shelf.has(LATEST) else None


def latest_manifest(settings: Settings, dataset: str) -> dict[str, Any]:
    """The manifest of the export that readers find, wherever exports go.

    Raises:
        NothingToWorkFrom: there is no export.
        SourceUnavailable: the object store does not answer.
    """
    nothing = NothingToWorkFrom(
        f"no export at {settings.exports_url or settings.exports}/{dataset}/{LATEST}: `mfcore export` writes one"
    )
    try:
        if settings.exports_url is None:
            text = (settings.exports / dataset / LATEST / MANIFEST).read_text(encoding="utf-8")
        else:
            shelf = Bucket(f"{settings.exports_url}/{dataset}")
            name = latest_folder(shelf)
            if name is None:
                raise nothing
            text = (shelf / name).read(MANIFEST)
        manifest: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise nothing from error
    return manifest


@contextmanager
def copied(url: str) -> Iterator[Path]:
    """Copy an export to this machine for the length of the block.

    Args:
        url: of its folder, or of a data set's `latest`.

    Raises:
        NothingToWorkFrom: there is none.
    """
    shelf_url, _, name = url.rstrip("/").rpartition("/")
    if name == LATEST:
        name = latest_folder(Bucket(shelf_url)) or name
    export = Bucket(shelf_url) / name
    if not export.has(MANIFEST):
        raise NothingToWorkFrom(f"there is no export {url}: `mfcore export` makes one.")
    with scratch_folder() as scratch:
        folder = scratch / name
        export.fetch(folder)
        try:
            yield folder
        except SourceUnavailable as error:
            raise SourceUnavailable(str(error).replace(str(folder), export.url)) from error


def fetch_version(version: int, shelf_url: str, folder: Path) -> bool:
    """Copy the newest export of a version to `folder`; False where the store has none."""
    shelf = Bucket(shelf_url)
    versions = [shelf / name for name in shelf.names() if name.startswith(f"{version}-")]
    whole = [export for export in versions if export.has(MANIFEST)]
    if whole:
        with new_folder(folder) as temporary:
            max(whole, key=lambda export: export.touched()).fetch(temporary)
    return bool(whole)


def old_objects(exports_url: str, rule: Rule, needed: Callable[[str], Collection[int]]) -> list[Leftover]:
    """Exports of versions that may go, as `mfcore.storage.retention.old_exports` finds them in a folder."""
    root = Bucket(exports_url)
    leftovers, latest = [], set()
    for dataset in root.names():
        shelf = root / dataset
        latest.add(f"{shelf.url}/{latest_folder(shelf)}")
        for name in (name for name in shelf.names() if name.partition("-")[0].isdigit()):
            folder = shelf / name
            leftovers.append(
                Leftover(what="export", dataset=dataset, name=name, used_at=folder.touched(), url=folder.url)
            )
    return [
        leftover.model_copy(update={"n_bytes": (root / f"{leftover.dataset}/{leftover.name}").size()})
        for leftover in rule.expired(leftovers, lambda leftover: leftover.dataset)
        if int(leftover.name.partition("-")[0]) not in needed(str(leftover.dataset)) and leftover.url not in latest
    ]


def _clear(shelf: Bucket) -> None:
    """Remove what runs that were killed left behind: folders without a manifest, written more than a day ago."""
    for name in shelf.names():
        half = shelf / name
        if name != LATEST and not half.has(MANIFEST) and time.time() - half.touched() > ABANDONED_AFTER_S:
            logger.info("export: %s was never whole; removed", half.url)
            half.remove(MANIFEST)
