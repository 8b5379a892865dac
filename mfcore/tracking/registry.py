"""The model registry: versions of `mfcore-<dataset>`, which of them is the champion, and its files."""

import json
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from pydantic import BaseModel, ConfigDict

from mfcore.errors import NothingToWorkFrom, UsageError
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.tracking.names import model_name
from mfcore.tracking.notes import model_note
from mfcore.tracking.runs import model_id_of, prepare_store

__all__ = ["CHALLENGER", "CHAMPION", "PREVIOUS", "Registered", "Registry"]

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"

BUNDLE = "bundle"
"""Name of the bundle's folder among a served model's artifacts."""


class Registered(BaseModel):
    """A version in the registry.

    Attributes:
        name: `mfcore-<dataset>`.
        version: counted from 1.
        run_id: the run that made it.
        recipe: how it was made.
        fingerprint: of what it was made from: recipe, data, code; equal models have equal ones.
        metrics: the recipe's test metrics, and the split they were measured on.
        aliases: champion, challenger, previous, or none.
        made_at: milliseconds since 1970.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    run_id: str
    recipe: Recipe
    fingerprint: str
    data: str
    metrics: dict[str, float]
    aliases: list[str]
    made_at: int

    @property
    def uri(self) -> str:
        """What MLflow loads it by."""
        return f"models:/{self.name}/{self.version}"


class Registry:
    """The versions of one data set's registered model."""

    def __init__(self, settings: Settings, dataset: str) -> None:
        self.client = prepare_store(settings.tracking_uri)
        self.dataset = dataset
        self.name = model_name(dataset)

    def add(
        self,
        model_uri: str,
        run_id: str,
        *,
        recipe: Recipe,
        fingerprint: str,
        data: str,
        metrics: dict[str, float],
        description: str,
    ) -> Registered:
        """Register a logged model as a new version, or find the version with the same fingerprint."""
        found = self.find(fingerprint)
        if found is not None:
            return found
        try:
            self.client.create_registered_model(self.name, description=model_note(self.dataset))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise
        tags = {
            "fingerprint": fingerprint,
            "data": data,
            "recipe": recipe.model_dump_json(),
            "metrics": json.dumps(metrics),
        }
        version = self.client.create_model_version(
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
        found = [champion for champion in champions if champion is not None]
        if not found:
            raise NothingToWorkFrom("the registry has no champion yet: run `mfcore run` first.")
        return cls(settings, max(found, key=lambda champion: champion.made_at).name.removeprefix(prefix))

    def find(self, fingerprint: str) -> Registered | None:
        """The newest version with this fingerprint."""
        matching = [version for version in self.versions() if version.fingerprint == fingerprint]
        return matching[0] if matching else None

    def versions(self) -> list[Registered]:
        """All versions that this project made, newest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=1000)
        named = [self.client.get_model_version(self.name, version.version) for version in found]
        own = [self._registered(version) for version in named if "fingerprint" in version.tags]
        return sorted(own, key=lambda version: version.version, reverse=True)

    def champion(self) -> Registered | None:
        """The version whose alias is champion."""
        return self._aliased(CHAMPION)

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

    def promote(self, version: int) -> Registered:
        """Make `version` the champion; the champion before it becomes `previous`.

        Raises:
            UsageError: there is no such version.
        """
        try:
            self.client.get_model_version(self.name, str(version))
        except MlflowException as error:
            known = ", ".join(str(one.version) for one in reversed(self.versions())) or "none"
            raise UsageError(f"{self.name} has no version {version}; there are: {known}.") from error
        champion = self.champion()
        if champion is None or champion.version != version:
            if champion is not None:
                self.client.set_registered_model_alias(self.name, PREVIOUS, str(champion.version))
            self.client.set_registered_model_alias(self.name, CHAMPION, str(version))
        promoted = self.champion()
        assert promoted is not None
        return promoted

    def rollback(self) -> Registered:
        """Make the previous champion the champion again.

        Raises:
            NothingToWorkFrom: there was none before.
        """
        previous = self._aliased(PREVIOUS)
        if previous is None:
            raise NothingToWorkFrom(f"{self.name} has had no champion before this one: there is nothing to go back to.")
        return self.promote(previous.version)

    def set_challenger(self, version: int) -> None:
        """Mark `version` as the one that was compared with the champion and lost."""
        self.client.set_registered_model_alias(self.name, CHALLENGER, str(version))

    def pull(self, registered: Registered) -> Model:
        """Fetch a version's bundle from the registry's store."""
        folder = mlflow.artifacts.download_artifacts(f"{registered.uri}/artifacts/{BUNDLE}")
        return Model.load(Path(folder))

    def _aliased(self, alias: str) -> Registered | None:
        try:
            return self._registered(self.client.get_model_version_by_alias(self.name, alias))
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST) or "alias" in str(error):
                return None
            raise

    def _registered(self, version: ModelVersion) -> Registered:
        tags: dict[str, Any] = version.tags
        return Registered(
            name=version.name,
            version=int(version.version),
            run_id=version.run_id or "",
            recipe=Recipe.model_validate_json(tags["recipe"]),
            fingerprint=tags["fingerprint"],
            data=tags["data"],
            metrics=json.loads(tags["metrics"]),
            aliases=list(version.aliases),
            made_at=version.creation_timestamp,
        )
