"""The stage `evaluate` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import EVALUATE

__all__ = ["evaluate"]

evaluate = as_flow(EVALUATE)
