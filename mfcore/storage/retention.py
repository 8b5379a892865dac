"""`Rule` and `Leftover`: what has not been used for long, found in folders and removed."""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfcore.storage.artifacts import MANIFEST, ArtifactStore
from mfcore.storage.bucket import Bucket
from mfcore.storage.files import ABANDONED_AFTER_S, TEMPORARY, discard
from mfcore.storage.kinds import Kind

__all__ = [
    "Leftover",
    "Rule",
    "abandoned",
    "old_artifacts",
    "old_exports",
    "old_journals",
    "old_quarantine",
    "old_replays",
    "remove",
]


class Leftover(BaseModel):
    """Something that may go.

    Attributes:
        what: the kind of thing it is.
        dataset: the data set it belongs to, where it does.
        name: of the artifact, the file or the folder; in MLflow its id, or the version's number.
        used_at: when it was used or made last, seconds since 1970.
        n_bytes: what it takes on disk, where that is known.
        path: where it lies; None in MLflow, and in an object store.
        url: where it lies in an object store.
    """

    model_config = ConfigDict(frozen=True)

    what: Literal["artifact", "journal", "quarantine", "export", "replay", "temporary", "version", "model", "trial"]
    dataset: str | None
    name: str
    used_at: float
    n_bytes: int = 0
    path: Path | None = None
    url: str | None = None


@dataclass(frozen=True)
class Rule:
    """What goes by age and count: what is older than a moment, but for the newest ones.

    Attributes:
        before: seconds since 1970; what was used since then stays.
        keep: how many stay whatever their age.

    >>> things = [Leftover(what="export", dataset="shop", name=str(day), used_at=day) for day in range(5)]
    >>> [one.name for one in Rule(before=4, keep=2).expired(things)]
    ['2', '1', '0']
    """

    before: float
    keep: int

    def expired(
        self, things: Iterable[Leftover], group: Callable[[Leftover], Hashable] = lambda leftover: 0
    ) -> list[Leftover]:
        """Those that may go; of each group the newest stay."""
        groups = defaultdict(list)
        for thing in things:
            groups[group(thing)].append(thing)
        expired = []
        for some in groups.values():
            newest_first = sorted(some, key=lambda thing: (thing.used_at, thing.name), reverse=True)
            expired += [thing for thing in newest_first[self.keep :] if thing.used_at < self.before]
        return expired


def old_artifacts(store: ArtifactStore, rule: Rule, needed: Collection[str]) -> list[Leftover]:
    """Artifacts that may go, those first that were made from others.

    Args:
        store: where they are.
        rule: applied to each kind of each data set.
        needed: fingerprints that stay. What an artifact that stays was made from stays as well.
    """
    manifests = {
        kind: {path.name: (path, manifest) for path, manifest in store.manifests(kind)} for kind in reversed(Kind)
    }
    expired: list[Leftover] = []
    wanted: set[tuple[str, str]] = set()
    for kind, some in manifests.items():
        candidates = [
            Leftover(
                what="artifact",
                dataset=manifest["dataset"],
                name=f"{kind}/{name}",
                used_at=datetime.fromisoformat(manifest.get("used_at", manifest["made_at"])).timestamp(),
                path=path,
            )
            for name, (path, manifest) in some.items()
        ]
        may_go = {
            leftover.path.name: leftover
            for leftover in rule.expired(candidates, lambda leftover: leftover.dataset)
            if leftover.path is not None
            and (kind, leftover.path.name) not in wanted
            and some[leftover.path.name][1]["fingerprint"] not in needed
        }
        expired += [leftover.model_copy(update={"n_bytes": _size(some[name][0])}) for name, leftover in may_go.items()]
        for name, (_, manifest) in some.items():
            if name not in may_go:
                wanted |= set(manifest["inputs"].items())
    return expired


def old_journals(home: Path, rule: Rule) -> list[Leftover]:
    """Journals of studies; the rule is applied to those of the same objective, algorithm and data set."""
    files = (home / Kind.STUDIES / "journals").glob("[!.]*.log")
    return rule.expired(_files("journal", files), lambda leftover: leftover.name.rpartition("-")[0])


def old_quarantine(home: Path, rule: Rule) -> list[Leftover]:
    """Pages and rows of ratings that were refused."""
    return rule.expired(
        _files("quarantine", (home / "quarantine").glob("[!.]*")),
        lambda leftover: (leftover.name.rpartition("-")[0], Path(leftover.name).suffix),
    )


def old_exports(exports: Path, rule: Rule, needed: Callable[[str], Collection[int]]) -> list[Leftover]:
    """Exports of versions that may go; never the one that `latest` points to.

    Args:
        exports: the folder with a folder per data set.
        rule: applied to each data set.
        needed: from a data set's name to versions that stay.
    """
    candidates = [
        Leftover(what="export", dataset=path.parent.name, name=path.name, used_at=path.stat().st_mtime, path=path)
        for path in exports.glob("[!.]*/[0-9]*")
        if path.is_dir() and path.name.isdigit()
    ]
    return [
        leftover.model_copy(update={"n_bytes": _size(leftover.path)})
        for leftover in rule.expired(candidates, lambda leftover: leftover.dataset)
        if leftover.path is not None
        and int(leftover.name) not in needed(str(leftover.dataset))
        and (leftover.path.parent / "latest").resolve() != leftover.path.resolve()
    ]


def old_replays(home: Path, rule: Rule) -> list[Leftover]:
    """Replays with their stores, by when the last night of each was replayed; the rule is applied to all of them."""
    replays = []
    for path in (home / "replays").glob("[!.]*"):
        nights = path / "nights.json"
        with suppress(OSError):
            used_at = (nights if nights.exists() else path).stat().st_mtime
            replays.append(Leftover(what="replay", dataset=None, name=path.name, used_at=used_at, path=path))
    return [
        leftover.model_copy(update={"n_bytes": _size(leftover.path)})
        for leftover in rule.expired(replays)
        if leftover.path is not None
    ]


def abandoned(home: Path, exports: Path) -> list[Leftover]:
    """Temporary folders and files that killed processes left behind more than a day ago."""
    places = [
        home.glob(".*.tmp"),
        home.glob("*/.*.tmp"),
        home.glob("studies/journals/.*.tmp"),
        exports.glob("*/.*.tmp"),
    ]
    ours = Path(tempfile.gettempdir()).glob(f".*{TEMPORARY}")
    leftovers = []
    for path in [*(path for some in places for path in some), *ours]:
        with suppress(OSError):  # whoever made it may delete it meanwhile
            used_at = max(part.lstat().st_mtime for part in [path, *path.rglob("*")])
            if path.lstat().st_uid == os.getuid() and time.time() - used_at > ABANDONED_AFTER_S:
                n_bytes = _size(path)
                leftovers.append(
                    Leftover(
                        what="temporary", dataset=None, name=path.name, used_at=used_at, n_bytes=n_bytes, path=path
                    )
                )
    return leftovers


def remove(leftover: Leftover) -> None:
    """Delete what lies in a file or a folder, with its lock."""
    path = leftover.path
    if leftover.url is not None:
        Bucket(leftover.url).remove(MANIFEST)
    if path is None:
        return
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        path.unlink(missing_ok=True)
    locks = {
        "journal": [path.with_name(f".{name}.lock") for name in (path.name, f"{path.stem}.trials")],
        "artifact": [path.parent.parent / "locks" / f".{path.parent.name}-{path.name}.lock"],
    }
    for lock in locks.get(leftover.what, ()):
        lock.unlink(missing_ok=True)


def _files(what: Literal["journal", "quarantine"], paths: Iterable[Path]) -> Iterator[Leftover]:
    for path in paths:
        with suppress(FileNotFoundError):
            status = path.stat()
            yield Leftover(
                what=what, dataset=None, name=path.name, used_at=status.st_mtime, n_bytes=status.st_size, path=path
            )


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(part.lstat().st_size for part in [path, *path.rglob("*")] if part.is_file() and not part.is_symlink())
