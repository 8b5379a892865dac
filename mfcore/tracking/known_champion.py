"""`KnownChampion`: the champion as MLflow last told it, until something moves in the tracking store."""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import urlopen

from pydantic import BaseModel, ValidationError

from mfcore.errors import MfcoreError
from mfcore.models.model import Model
from mfcore.settings import Settings, database_of, is_server
from mfcore.storage.files import new_folder, scratch_folder, write_file
from mfcore.tracking.bundle import load_bundle
from mfcore.tracking.names import model_name

if TYPE_CHECKING:
    from mfcore.tracking.registry import Registry

__all__ = ["KnownChampion"]

_QUIET_S = 2.0
"""Age from which a file's time tells: of two changes at the same tick of the clock it shows but one."""
_ANSWER_S = 5.0
"""Seconds for a server to answer; where it does not, MLflow's client says why."""
_MOST_MODELS = 1000
"""Registered models in one answer, as many as MLflow gives."""


class _Note(BaseModel):
    """What is remembered: the state of the store, its champion then, and where that one's files lie."""

    state: str
    uri: str
    folder: Path


class KnownChampion:
    """A data set's champion, for look-ups: importing MLflow to ask for it takes longer than all the rest.

    A note in the home folder says which version was the champion and where its files lie. It counts for as long as
    the store's state is the one it was written in: of a SQLite database the times and sizes of its files, of an
    MLflow server what it says of all registered models, aliases included. Any other store is always asked.
    """

    def __init__(self, settings: Settings, dataset: str | None) -> None:
        self._tracking_uri = settings.tracking_uri
        key = hashlib.sha256(f"{settings.tracking_uri}\n{dataset or ''}".encode()).hexdigest()[:16]
        self._folder = settings.home / "champions" / key
        self._state = _state_of(settings.tracking_uri)

    def recall(self) -> Model | None:
        """The champion; None where MLflow has to be asked."""
        if self._state is None:
            return None
        try:
            note = _Note.model_validate_json((self._folder / "champion.json").read_bytes())
            return load_bundle(note.folder, note.uri) if note.state == self._state else None
        except (OSError, ValidationError, MfcoreError):
            return None

    def pull(self, registry: "Registry") -> Model:
        """Ask the registry for the champion, and remember what it says.

        Raises:
            NothingToWorkFrom: there is none.
            SourceUnavailable: its files are not available, or not what was registered.
        """
        champion = registry.require_champion()
        with scratch_folder() as scratch:
            folder = registry.fetch(champion, scratch)
            model = load_bundle(folder, champion.uri)
            if self._state is not None and self._state == _state_of(self._tracking_uri):
                # A home that can't be written costs the next look-up its time, and this one nothing.
                with suppress(OSError, MfcoreError):
                    if folder.is_relative_to(scratch):
                        folder = self._keep(folder)
                    self._folder.mkdir(parents=True, exist_ok=True)
                    note = _Note(state=self._state, uri=champion.uri, folder=folder)
                    write_file(self._folder / "champion.json", note.model_dump_json())
        return model

    def _keep(self, fetched: Path) -> Path:
        """A copy in the home of what came from a server, in place of the one before it."""
        kept = self._folder / "bundle"
        with new_folder(kept, replace=True) as new:
            shutil.copytree(fetched, new, dirs_exist_ok=True)
        return kept


def _state_of(tracking_uri: str) -> str | None:
    """What changes with every move of an alias; None where nothing is known to."""
    if os.environ.get("MLFLOW_REGISTRY_URI"):
        return None
    database = database_of(tracking_uri)
    if database is not None:
        return _state_of_files(database)
    return _state_of_server(tracking_uri) if is_server(tracking_uri) else None


def _state_of_files(database: Path) -> str | None:
    """Time, size and number of the database's file, and of the one beside it that takes its writes in WAL mode."""
    state: list[tuple[int, ...]] = []
    for path in (database, database.with_name(f"{database.name}-wal")):
        try:
            stat = path.stat()
        except OSError:
            state.append(())
            continue
        if time.time() - stat.st_mtime < _QUIET_S:
            return None
        state.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return json.dumps(state)


def _state_of_server(url: str) -> str | None:
    """A digest of its registered models; None where it does not tell all of them, or not to anybody."""
    query = urlencode({"filter": f"name LIKE '{model_name('')}%'", "max_results": _MOST_MODELS})
    try:
        with urlopen(f"{url.rstrip('/')}/api/2.0/mlflow/registered-models/search?{query}", timeout=_ANSWER_S) as answer:
            body: bytes = answer.read()
        return None if "next_page_token" in json.loads(body) else hashlib.sha256(body).hexdigest()
    except (OSError, ValueError, HTTPException):
        return None
