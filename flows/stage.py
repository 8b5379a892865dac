"""A stage as a Prefect flow: one to be deployed and run alone, or one within the pipeline's."""

from typing import Any, TypeVar

from prefect import Flow, flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.heartbeats import heartbeats
from flows.observer import PrefectObserver
from flows.turns import turn
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.table import Output, Stage
from mfcore.storage.artifacts import Artifact
from mfcore.tracking.registry import Registered

__all__ = ["as_flow", "run_within"]

R = TypeVar("R", bound=Output)


def as_flow(stage: Stage[R]) -> Flow[..., R]:
    """The flow that runs a stage in a context of its own.

    Its parameters are the configuration and, for any stage but the first, what the stage before
    has made; by default what belongs to the configuration.
    """

    @flow(name=stage.name, flow_run_name=f"{stage.name} {{config.dataset.name}}", description=stage.description)
    def run(config: PipelineConfig = PipelineConfig(), given: Artifact | Registered | None = None) -> R:
        context = Context(config, given.dataset if given is not None else None, PrefectObserver())
        with turn(context.dataset_name):
            return stage.run(context, given)

    return run


def run_within(stage: Stage[R], context: Context, given: Any) -> R:
    """Run a stage as a flow within the flow that is under way, in that one's context.

    Its one parameter is what the stage before has made. Prefect makes a form of a flow's
    parameters, checks them and keeps them with each run; of a whole configuration, which is
    the outer flow's, that takes longer than to find that a stage has nothing to do.
    """
    every_s = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value()

    @flow(
        name=stage.name,
        flow_run_name=lambda: f"{stage.name} {context.config.dataset.name}",
        description=stage.description,
        validate_parameters=False,
    )
    def run(given: Any) -> R:
        with heartbeats(every_s):
            return stage.run(context, given)

    # Prefect's own heartbeats keep each flow waiting at its end.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        return run(given)
