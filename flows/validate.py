"""The stage `validate` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import VALIDATE

__all__ = ["validate"]

validate = as_flow(VALIDATE)
