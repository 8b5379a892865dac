"""A stage as a Prefect flow."""

from typing import TypeVar

from prefect import Flow, flow

from flows.observer import PrefectObserver
from flows.turns import turn
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.table import Output, Stage
from mfcore.storage.artifacts import Artifact
from mfcore.tracking.registry import Registered

__all__ = ["as_flow"]

R = TypeVar("R", bound=Output)


def as_flow(stage: Stage[R], context: Context | None = None) -> Flow[..., R]:
    """The flow that runs a stage, in a context of its own or, within the pipeline, in the pipeline's.

    Its parameters are the configuration and, for any stage but the first, what the stage before
    has made; by default what belongs to the configuration.
    """

    @flow(name=stage.name, flow_run_name=f"{stage.name} {{config.dataset.name}}", description=stage.description)
    def run(config: PipelineConfig = PipelineConfig(), given: Artifact | Registered | None = None) -> R:
        own = context or Context(config, given.dataset if given is not None else None, PrefectObserver())
        with turn(own.dataset_name):
            return stage.run(own, given)

    return run
