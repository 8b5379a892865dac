"""`Context`: what the stages of one run share."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

from mfcore.config import PipelineConfig
from mfcore.data.catalog import Dataset, resolve
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.models.spark import use_spark
from mfcore.settings import Settings
from mfcore.stages.observer import Observer
from mfcore.stages.table import STAGES
from mfcore.storage.artifacts import Artifact, ArtifactStore
from mfcore.storage.kinds import Kind
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment

__all__ = ["Context", "ParentRun"]

logger = logging.getLogger("mfcore.stages")


class ParentRun:
    """A run in MLflow that the runs of stages are children of; it begins when its id is first asked for.

    So a stage that is run alone, and has nothing to do, leaves none.
    """

    def __init__(self, begin: Callable[[], str]) -> None:
        self._begin = begin

    @cached_property
    def id(self) -> str:
        """Of the run in MLflow."""
        return self._begin()

    @property
    def has_begun(self) -> bool:
        """Whether there is one."""
        return "id" in self.__dict__


class Context:
    """The configuration of a run, where its output lies, its data set, and who watches.

    The data set is looked up, and MLflow connected to, when that is first needed.

    Args:
        config: what is asked for.
        dataset_name: the data set by the short name that artifacts and models have it under; by default the
            configuration's.
        observer: who watches; by default nobody.
        settings: where things lie; by default as the environment says.

    Attributes:
        config: the configuration.
        settings: where things lie.
        store: the artifacts under the home folder.
        observer: who watches.
    """

    def __init__(
        self,
        config: PipelineConfig,
        dataset_name: str | None = None,
        observer: Observer | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.config = config
        use_spark(config.spark)
        self.settings = settings or Settings.read()
        self.store = ArtifactStore(self.settings.home)
        self.observer = observer or Observer()
        self._dataset_name = dataset_name
        self._run: ParentRun | None = None

    @cached_property
    def dataset(self) -> Dataset:
        """The configured data set.

        Raises:
            UsageError: its name is not known.
            SourceUnavailable: there is no such path.
        """
        return resolve(self.config.dataset)

    @property
    def dataset_name(self) -> str:
        """The short name of the data set, as artifacts and models have it.

        Files that were downloaded under a name of their own are known by that name alone.
        """
        if self._dataset_name is not None:
            return self._dataset_name
        name = self.config.dataset.name
        return self.dataset.name if self._is_known or not self.store.has(Kind.RAW, name) else name

    @property
    def described(self) -> Dataset | None:
        """What the catalog knows of the data set; None where the configuration doesn't say which one it is."""
        return self.dataset if self._is_known else None

    @cached_property
    def _is_known(self) -> bool:
        """Whether the configuration says where the data set comes from."""
        try:
            return self.dataset is not None
        except (UsageError, SourceUnavailable):
            return False

    @cached_property
    def experiment(self) -> Experiment:
        """The data set's experiment in MLflow."""
        return Experiment(self.settings, self.dataset_name)

    @cached_property
    def registry(self) -> Registry:
        """The data set's models in MLflow."""
        return Registry(self.settings, self.dataset_name)

    @contextmanager
    def parent_run(self, stage: str, name: str | None = None) -> Iterator[ParentRun]:
        """The MLflow run that a stage's runs are children of: the pipeline's, or else one of its own."""
        if self._run is not None:
            yield self._run
            return
        with self.store.in_use(), ExitStack() as stack:

            def begin() -> str:
                self.experiment.end_abandoned()
                run = self.experiment.run(name or stage, tags={"stage": stage}, params=_flat(self.config))
                return stack.enter_context(run)

            self._run = ParentRun(begin)
            try:
                yield self._run
            finally:
                self._run = None

    def input(self, given: Artifact | None, kind: Kind) -> Artifact:
        """What a stage works from: what it was given, or else what the stage before makes of the configuration.

        A stage that has made it before reuses it. Where the configuration names files that were
        downloaded under a name of their own, and doesn't say where they are, it is the newest of its kind.

        Raises:
            MfcoreError: a stage before fails, as it does by itself.
        """
        if given is not None:
            return given
        if not self._is_known and self.store.has(kind, self.dataset_name):
            return self.store.newest(kind, self.dataset_name)
        made: Artifact = next(stage for stage in STAGES if stage.makes is kind).run(self)
        return made

    def report(self, artifact: Artifact, summary: str) -> Artifact:
        """Say what a stage has made or reused, and hand the artifact on."""
        how = "reused" if artifact.reused else "made"
        logger.info("%s: %s (%s %s)", artifact.kind, summary, how, artifact.fingerprint)
        return artifact


def _flat(config: PipelineConfig) -> dict[str, Any]:
    """The configuration as section.key → value, as MLflow lists parameters."""
    tree = config.model_dump(mode="json")
    return {
        f"{section}.{key}": value for section, keys in tree.items() for key, value in keys.items() if value is not None
    }
