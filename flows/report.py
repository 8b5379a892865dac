"""The stage `report` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import REPORT

__all__ = ["report"]

report = as_flow(REPORT)
