"""The model registry: versions of `mfcore-<dataset>`, which of them is the champion, and its files."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, ConfigDict

from mfcore.errors import NothingToWorkFrom, SourceUnavailable, UsageError, first_line, listed
from mfcore.evaluation.rules import Rule
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.settings import Settings, is_server
from mfcore.storage.files import scratch_folder
from mfcore.tracking.bundle import BUNDLE, load_bundle
from mfcore.tracking.database import alone
from mfcore.tracking.history import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Move,
    Reign,
    Role,
    aliases_of,
    reigns,
    rolled_back,
)
from mfcore.tracking.names import model_name
from mfcore.tracking.notes import model_note
from mfcore.tracking.runs import model_id_of, now_ms
from mfcore.tracking.store import prepare_store, store_errors

__all__ = ["CHALLENGER", "CHAMPION", "PREVIOUS", "Registered", "Registry"]

_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a model or alias that is not there, and of a name that no model can have."""

_UNDER_WAY_MS = 60_000
"""Age below which an entry may be that of another process, which has not moved the alias yet."""


class Registered(BaseModel):
    """A version in the registry.

    Attributes:
        name: `mfcore-<dataset>`.
        version: counted from 1.
        run_id: the run that made it.
        recipes: how each head was made.
        fingerprint: of what it was made from: recipe, data, code; equal models have equal ones.
        data: fingerprint of the ratings it was trained on.
        split: fingerprint of the split whose test ratings `metrics` were measured on; None of versions before 0.2.
        metrics: the recipe's test metrics.
        intervals: their 95 % intervals over users, of those that have one.
        trained_on: how many ratings, users and items; empty of versions before 0.2.
        verdict: the gate's rules, with what was found.
        aliases: champion, challenger, previous, or none.
        made_at: milliseconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    run_id: str
    recipes: dict[Objective, Recipe]
    fingerprint: str
    data: str
    split: str | None = None
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]] = {}
    trained_on: dict[str, int] = {}
    verdict: list[Rule] = []
    aliases: list[str]
    made_at: int

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}/{self.version}"

    @property
    def dataset(self) -> str:
        """The data set's short name."""
        return self.name.removeprefix(model_name(""))


class Registry:
    """The versions of one data set's registered model."""

    def __init__(self, settings: Settings, dataset: str) -> None:
        self._client = prepare_store(settings.tracking_uri)
        self._tracking_uri = settings.tracking_uri
        self.dataset = dataset
        self.name = model_name(dataset)

    def add(
        self,
        model_uri: str,
        run_id: str,
        *,
        recipes: Mapping[Objective, Recipe],
        fingerprint: str,
        data: str,
        split: str,
        metrics: dict[str, float],
        description: str,
        intervals: Mapping[str, tuple[float, float]] | None = None,
        trained_on: Mapping[str, int] | None = None,
        verdict: Sequence[Rule] = (),
    ) -> Registered:
        """Register a logged model as a new version, or find the version with the same fingerprint.

        Arguments are what `Registered` has of the same names; `description` is shown in MLflow.

        Raises:
            UsageError: no model can have this data set's name.
        """
        known = self.find(fingerprint)
        if known is not None:
            return known
        try:
            self._client.create_registered_model(self.name, description=model_note(self.dataset))
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise UsageError(f"MLflow takes no model named {self.name!r}: name the data set otherwise.") from error
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {
            "fingerprint": fingerprint,
            "data": data,
            "split": split,
            "recipes": json.dumps({str(objective): recipe.model_dump() for objective, recipe in recipes.items()}),
            "metrics": json.dumps(metrics),
            "intervals": json.dumps(intervals or {}),
            "trained_on": json.dumps(trained_on or {}),
            "verdict": json.dumps([rule.model_dump() for rule in verdict]),
        }
        version = self._client.create_model_version(
            self.name, model_uri, run_id=run_id, tags=tags, description=description, model_id=model_id_of(model_uri)
        )
        return self._registered(version)

    @classmethod
    def newest(cls, settings: Settings) -> "Registry":
        """The registry of the data set whose champion was made last.

        Raises:
            NothingToWorkFrom: no data set has one.
        """
        client = prepare_store(settings.tracking_uri)
        prefix = model_name("")
        names = [model.name for model in client.search_registered_models(f"name LIKE '{prefix}%'")]
        champions = [registry.champion() for registry in (cls(settings, name.removeprefix(prefix)) for name in names)]
        known_champions = [champion for champion in champions if champion is not None]
        if not known_champions:
            raise NothingToWorkFrom("the registry has no champion yet: run `mfcore run` first.")
        return cls(settings, max(known_champions, key=lambda champion: champion.made_at).name.removeprefix(prefix))

    def find(self, fingerprint: str) -> Registered | None:
        """The newest version with this fingerprint."""
        # Each version that is found is a request of its own, and in a year there are hundreds.
        matching = self._search(f" and tags.fingerprint = '{fingerprint}'")
        return matching[0] if matching else None

    def versions(self) -> list[Registered]:
        """All versions that this project made, newest first."""
        return self._search()

    def _search(self, condition: str = "") -> list[Registered]:
        quote = '"' if "'" in self.name else "'"
        versions = self._client.search_model_versions(f"name = {quote}{self.name}{quote}{condition}", max_results=1000)
        named = [self._client.get_model_version(self.name, version.version) for version in versions]
        own = [self._registered(version) for version in named if "recipes" in version.tags]
        return sorted(own, key=lambda version: version.version, reverse=True)

    def champion(self) -> Registered | None:
        """The version whose alias is champion."""
        return self.under(CHAMPION)

    def under(self, alias: str) -> Registered | None:
        """The version that has this alias: champion, challenger or previous."""
        try:
            return self._registered(self._client.get_model_version_by_alias(self.name, alias))
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise

    def require_champion(self) -> Registered:
        """The champion.

        Raises:
            NothingToWorkFrom: there is none.
        """
        champion = self.champion()
        if champion is None:
            raise NothingToWorkFrom(
                f"{self.name} has no champion in the registry: "
                f"run `mfcore run --dataset {self.dataset}` first, "
                "or set MLFLOW_TRACKING_URI to the store that has one."
            )
        return champion

    def version(self, version: int) -> Registered:
        """One version.

        Raises:
            UsageError: there is no such version.
        """
        try:
            return self._registered(self._client.get_model_version(self.name, str(version)))
        except (MlflowException, KeyError) as error:
            known = listed(known_version.version for known_version in reversed(self.versions()))
            raise UsageError(f"{self.name} has no version {version}; there are: {known}.") from error

    def require_previous(self) -> Registered:
        """The champion before this one.

        Raises:
            NothingToWorkFrom: there was none before.
        """
        previous = self.under(PREVIOUS)
        if previous is None:
            raise NothingToWorkFrom(f"{self.name} has had no champion before this one: there is nothing to go back to.")
        return previous

    def promote(self, version: int, why: str = "promoted") -> Registered:
        """Make `version` the champion; the champion before it becomes `previous`.

        Raises:
            UsageError: there is no such version.
        """
        return self._crown(version, why, is_rollback=False)

    def succeed(self, version: int, why: str = "promoted by a run") -> Registered:
        """Make the version that a run came to the champion, unless it was rolled back: then the champion stays.

        Other data makes another version, which may win; `promote` brings back the one that was rolled back.

        Raises:
            UsageError: there is no such version.
        """
        champion = self.champion()
        if champion is not None and self.is_rolled_back(version):
            return champion
        return self.promote(version, why)

    def rollback(self, why: str = "rolled back") -> Registered:
        """Make the previous champion the champion again; `is_rolled_back` remembers whose place it takes.

        Raises:
            NothingToWorkFrom: there was none before.
        """
        return self._crown(self.require_previous().version, why, is_rollback=True)

    def set_challenger(self, version: int, why: str = "compared with the champion, and lost") -> None:
        """Mark `version` as the one that was compared with the champion and lost."""
        self._move(CHALLENGER, version, why)

    def history(self) -> list[Reign]:
        """Which version held which alias, since when, until when, and what ended it; in order of time."""
        return reigns(_moves(self._model()))

    def is_rolled_back(self, version: int) -> bool:
        """Whether the version lost the championship by a rollback, and has not been champion since."""
        return version in rolled_back(_moves(self._model()))

    def pull(self, registered: Registered) -> Model:
        """Fetch a version's bundle from the registry's store.

        Raises:
            SourceUnavailable: it can't be fetched, or is not what was registered.
        """
        with scratch_folder() as scratch:
            return load_bundle(self.fetch(registered, scratch), registered.uri)

    def pull_logged(self, uri: str) -> Model:
        """Fetch the bundle of a model that is logged and not registered, as finalists are, by its URI.

        Raises:
            SourceUnavailable: it can't be fetched, or is not what was logged.
        """
        with scratch_folder() as scratch:
            # Of models without a version MLflow finds no folder within.
            return load_bundle(self._download(uri, uri, scratch) / "artifacts" / BUNDLE, uri)

    def fetch(self, registered: Registered, scratch: Path) -> Path:
        """The folder of a version's bundle: where the store keeps it, or in `scratch`, fetched from a server.

        Raises:
            SourceUnavailable: it can't be fetched.
        """
        return self._download(f"{registered.uri}/artifacts/{BUNDLE}", registered.uri, scratch)

    def _download(self, source: str, uri: str, scratch: Path) -> Path:
        into = str(scratch) if is_server(self._tracking_uri) else None
        try:
            with store_errors(self._tracking_uri):
                return Path(mlflow.artifacts.download_artifacts(source, dst_path=into, tracking_uri=self._tracking_uri))
        except (MlflowException, OSError) as error:
            raise SourceUnavailable(
                f"the files of {uri} are not available: {first_line(error)}. "
                "Promote another version, or run `mfcore run` to make one."
            ) from error

    def _crown(self, version: int, why: str, *, is_rollback: bool) -> Registered:
        self.version(version)
        self._move(CHAMPION, version, why, is_rollback=is_rollback)
        return self.require_champion()

    def _move(self, role: Role, version: int, why: str, *, is_rollback: bool = False) -> None:
        """Write down that an alias moves, then move it.

        The entries decide where aliases stand. Each process moves them there, and looks again for
        entries that others have written meanwhile: so two at once, on any machine, end in the state
        that both entries together give.
        """
        with alone(self._tracking_uri):
            model = self._model()
            moves = _moves(model)
            for move in self._moved_by_others(moves, _standing(model)):
                moves.append(self._write(move, moves))
            if aliases_of(moves).get(role) != version:
                moves.append(
                    self._write(Move(at=now_ms(), role=role, version=version, why=why, is_rollback=is_rollback), moves)
                )
            self._settle()

    def _settle(self) -> None:
        """Move the aliases to where the entries say, until nobody has written another one."""
        read: list[Move] = []
        while True:
            model = self._model()
            moves, standing = _moves(model), _standing(model)
            if moves == read:
                return
            read = moves
            # The champion last: at no time is it its own predecessor's equal.
            for alias, version in sorted(aliases_of(moves).items(), reverse=True):
                if standing.get(alias) != version:
                    self._set_alias(alias, version)

    def _set_alias(self, alias: str, version: int) -> None:
        try:
            self._client.set_registered_model_alias(self.name, alias, str(version))
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return  # somebody has deleted the version
            # Two processes that make the same alias at once insert the same row; now it is there.
            self._client.set_registered_model_alias(self.name, alias, str(version))

    def _moved_by_others(self, moves: list[Move], standing: dict[str, int]) -> Iterator[Move]:
        """Entries for what has none: aliases that were moved in MLflow itself, or before there was a history."""
        if moves and now_ms() - moves[-1].at < _UNDER_WAY_MS:
            return
        expected = aliases_of(moves)
        if not moves and PREVIOUS in standing:
            yield self._found(CHAMPION, standing[PREVIOUS])
        both: tuple[Role, ...] = (CHAMPION, CHALLENGER)
        for role in both:
            if role in standing and standing[role] != expected.get(role):
                yield self._found(role, standing[role])

    def _found(self, role: Role, version: int) -> Move:
        made = self._client.get_model_version(self.name, str(version)).creation_timestamp
        return Move(at=made, role=role, version=version, why="found under the alias")

    def _write(self, move: Move, moves: list[Move]) -> Move:
        """Keep an entry, after all those that are there; clocks may differ."""
        at = max(move.at, *(earlier.at + 1 for earlier in moves)) if moves else move.at
        kept = move.model_copy(update={"at": at, "mark": uuid.uuid4().hex[:8]})
        self._client.set_registered_model_tag(self.name, *kept.tag)
        return kept

    def _model(self) -> RegisteredModel | None:
        try:
            return self._client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise

    def _registered(self, version: ModelVersion) -> Registered:
        tags: dict[str, Any] = version.tags
        return Registered(
            name=version.name,
            version=int(version.version),
            run_id=version.run_id or "",
            recipes=json.loads(tags["recipes"]),
            fingerprint=tags["fingerprint"],
            data=tags["data"],
            split=tags.get("split"),
            metrics=json.loads(tags["metrics"]),
            intervals=json.loads(tags.get("intervals", "{}")),
            trained_on=json.loads(tags.get("trained_on", "{}")),
            verdict=json.loads(tags.get("verdict", "[]")),
            aliases=list(version.aliases),
            made_at=version.creation_timestamp,
        )


def _moves(model: RegisteredModel | None) -> list[Move]:
    return Move.read(model.tags) if model else []


def _standing(model: RegisteredModel | None) -> dict[str, int]:
    """Alias → version."""
    return {alias: int(version) for alias, version in model.aliases.items()} if model else {}
