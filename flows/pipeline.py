"""The pipeline as a Prefect flow, each stage a flow within it."""

from typing import Any

from prefect import flow

from flows.hooks import tell_schedule, try_later
from flows.observer import PrefectObserver
from flows.stage import as_flow
from flows.turns import turn
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.pipeline import PipelineResult, run_pipeline
from mfcore.stages.table import Stage

__all__ = ["pipeline"]


@flow(name="pipeline", flow_run_name="{config.dataset.name}", on_running=[tell_schedule], on_failure=[try_later])
def pipeline(config: PipelineConfig = PipelineConfig()) -> PipelineResult:
    """The whole chain; a stage whose inputs have not changed is reused."""
    context = Context(config, observer=PrefectObserver())
    with turn(context.dataset_name):
        return run_pipeline(context, _as_subflow)


def _as_subflow(stage: Stage[Any], context: Context, given: Any) -> Any:
    return as_flow(stage, context)(context.config, given)
