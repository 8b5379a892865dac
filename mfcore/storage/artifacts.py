"""A stage's output: a folder with a manifest, written whole or not at all.

An artifact's folder is named by the fingerprint of what made it. Equal inputs give the
same name, so a stage that finds its artifact whole has nothing left to do. Of two processes
that need the same artifact at once, one makes it; the other waits and takes it. The lock goes
with the process that holds it, so one that was killed keeps nobody waiting.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mfcore.errors import NothingToWorkFrom
from mfcore.storage.files import discard, locked, new_folder, sha256_of, write_file
from mfcore.storage.kinds import Kind

__all__ = [
    "MANIFEST",
    "Artifact",
    "ArtifactStore",
    "code_of",
    "contents",
    "damage",
    "fingerprint",
    "is_whole",
    "read_manifest",
    "write_manifest",
]

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"


class Artifact(BaseModel):
    """A reference to a stage's output: what stages hand each other instead of data."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    dataset: str
    fingerprint: str
    path: Path
    inputs: dict[str, str] = {}
    """The artifacts this one was made from: kind → folder name."""
    reused: bool = False

    @property
    def details(self) -> dict[str, Any]:
        """What the stage recorded about its output, from the manifest."""
        details: dict[str, Any] = read_manifest(self.path)["details"]
        return details


def fingerprint(*parts: Any) -> str:
    """Hash JSON-able `parts` to 16 hexadecimal digits, the same for equal parts.

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_of(*names: str) -> str:
    """Fingerprint of the source of modules, and of packages with all that is in them.

    What decides a result is part of its key, so that a change of code is a change of key.

    >>> code_of("mfcore.errors") == code_of("mfcore.errors") != code_of("mfcore.models")
    True
    """
    digest = hashlib.sha256()
    for name in names:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for file in files:
            digest.update(file.relative_to(origin.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


class ArtifactStore:
    """The artifacts under a home folder, laid out as `<home>/<kind>/<dataset>-<fingerprint>/`."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def in_use(self, *, alone: bool = False) -> AbstractContextManager[object]:
        """Work with artifacts while nobody removes any; `alone`, to remove some, while nobody works with any."""
        return locked(self.home / "artifacts", shared=not alone)

    def find(self, kind: Kind, dataset: str, key: str) -> Artifact | None:
        """The artifact with this fingerprint if it is there and whole; a damaged one is removed."""
        path = self.home / kind / f"{dataset}-{key}"
        if not path.is_dir():
            return None
        problem = damage(path)
        if problem is not None:
            logger.warning("%s; it is made again", problem)
            discard(path)
            return None
        _note_use(path)
        return _reference(path)

    def make(
        self,
        kind: Kind,
        dataset: str,
        key: str,
        write: Callable[[Path], Mapping[str, Any]],
        inputs: Iterable[Artifact] = (),
    ) -> Artifact:
        """Reuse the artifact with this fingerprint, or have `write` fill a new folder.

        `write` gets the folder and returns the details to record in the manifest. While another
        process makes the same artifact, this one waits.
        """
        known = self.find(kind, dataset, key)
        if known is not None:
            return known
        names: dict[str, str] = {artifact.kind: artifact.path.name for artifact in inputs}
        path = self.home / kind / f"{dataset}-{key}"
        with locked(self.home / "locks" / f"{kind}-{path.name}"):
            known = self.find(kind, dataset, key)  # made by whoever held the lock
            if known is not None:
                return known
            with new_folder(path) as folder:
                details = write(folder)
                write_manifest(folder, kind=kind, dataset=dataset, fingerprint=key, inputs=names, details=details)
        return Artifact(kind=kind, dataset=dataset, fingerprint=key, path=path, inputs=names)

    def has(self, kind: Kind, dataset: str, **details: Any) -> bool:
        """Whether there is any artifact of `kind` of a data set, with these details."""
        return bool(self._made(kind, dataset, details))

    def newest(self, kind: Kind, dataset: str | None = None, **details: Any) -> Artifact:
        """The artifact of `kind` made or found last, of one data set or of any, with these details.

        Raises:
            NothingToWorkFrom: there is none, or it is damaged.
        """
        made = self._made(kind, dataset, details)
        if not made:
            of = f" of {dataset}" if dataset else ""
            raise NothingToWorkFrom(f"no {kind}{of} in {self.home}: run the stage before this one, or `mfcore run`.")
        return self.open(max(made)[1])

    def _made(self, kind: Kind, dataset: str | None, details: Mapping[str, Any]) -> list[tuple[str, Path]]:
        """When artifacts were made, or found by who would make them, and where they are."""
        return [
            (manifest.get("used_at", manifest["made_at"]), path)
            for path, manifest in self.manifests(kind)
            if dataset in (None, manifest["dataset"]) and details.items() <= manifest["details"].items()
        ]

    def manifests(self, kind: Kind) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Folders of this kind with what their manifests say; one that says nothing is passed over."""
        for path in (self.home / kind).glob(f"[!.]*/{MANIFEST}"):
            try:
                manifest = read_manifest(path.parent)
                is_plain = isinstance(manifest["details"], dict)
                if manifest["kind"] == kind and manifest["made_at"] and manifest["dataset"] and is_plain:
                    yield path.parent, manifest
            except (OSError, ValueError, KeyError, TypeError):
                logger.warning("%s is damaged; it is passed over", path.parent)

    def input(self, artifact: Artifact, kind: Kind) -> Artifact:
        """The artifact of `kind` that `artifact` was made from, directly or further back.

        Raises:
            NothingToWorkFrom: it is not there any more.
        """
        earlier = artifact
        while earlier.kind != kind:
            if not earlier.inputs:
                raise NothingToWorkFrom(f"{artifact.path} was not made from {kind}.")
            ((parent, name),) = earlier.inputs.items()
            earlier = self.open(self.home / parent / name)
        return earlier

    def open(self, path: Path) -> Artifact:
        """The artifact in the folder `path`, checked against its manifest.

        Raises:
            NothingToWorkFrom: the folder holds no artifact, or a damaged one.
        """
        if not (path / MANIFEST).is_file():
            raise NothingToWorkFrom(f"{path} holds no output of a stage (no {MANIFEST} in it).")
        problem = damage(path)
        if problem is not None:
            raise NothingToWorkFrom(f"{path} is damaged: {problem}. Run its stage again, or remove it.")
        return _reference(path)


def write_manifest(folder: Path, **head: Any) -> None:
    """Describe the files of `folder` (path, size, sha256) in its manifest, under the fields of `head`."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    manifest = {**head, "made_at": _now(), "files": files}
    write_file(folder / MANIFEST, json.dumps(manifest, indent=2, default=str) + "\n")


def contents(folder: Path) -> str:
    """Fingerprint of what a manifest says, but for when it was written."""
    manifest = read_manifest(folder)
    return fingerprint({name: value for name, value in manifest.items() if name not in ("made_at", "used_at")})


def _note_use(folder: Path) -> None:
    """Say in the manifest that what it describes was asked for again."""
    with suppress(OSError):  # it may be read by somebody who must not write
        manifest = {**read_manifest(folder), "used_at": _now()}
        write_file(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n", via=folder.parent)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def is_whole(folder: Path) -> bool:
    """Whether each file that the manifest of `folder` names is there with the same bytes."""
    return damage(folder) is None


def damage(folder: Path) -> str | None:
    """What is wrong with the files of `folder`, by its manifest and by name; None if nothing is."""
    try:
        files = read_manifest(folder)["files"].items()
        expected = [(str(name), int(entry["bytes"]), str(entry["sha256"])) for name, entry in files]
    except OSError:
        return f"{folder / MANIFEST} can't be read"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{folder / MANIFEST} is no manifest"
    for name, size, sha256 in expected:
        path = folder / name
        try:
            if path.stat().st_size != size or sha256_of(path) != sha256:
                return f"{path} differs from its manifest"
        except OSError:
            return f"{path} is missing"
    return None


def _reference(path: Path) -> Artifact:
    """The artifact in a folder whose files have been checked; checking them again would read them all twice."""
    manifest = read_manifest(path)
    known = {name: manifest[name] for name in Artifact.model_fields if name in manifest}
    try:
        return Artifact(path=path, reused=True, **known)
    except ValidationError as error:
        raise NothingToWorkFrom(f"{path} holds no output of a stage (its {MANIFEST} is of another kind).") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of `folder` says, unchecked.

    Raises:
        OSError: it can't be read.
        ValueError: it is no JSON.
    """
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest
