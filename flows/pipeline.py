"""The pipeline as a Prefect flow, each stage a flow within it."""

from typing import Any

from prefect import flow

from flows.observer import PrefectObserver
from flows.stage import as_flow
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.pipeline import PipelineResult, run_pipeline
from mfcore.stages.table import Stage

__all__ = ["pipeline"]


@flow(name="pipeline", flow_run_name="{config.dataset.name}")
def pipeline(config: PipelineConfig = PipelineConfig()) -> PipelineResult:
    """The whole chain; a stage whose inputs have not changed is reused."""
    return run_pipeline(Context(config, observer=PrefectObserver()), _as_subflow)


def _as_subflow(stage: Stage[Any], context: Context, given: Any) -> Any:
    return as_flow(stage, context)(context.config, given)
