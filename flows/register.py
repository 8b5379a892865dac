"""The stage `register` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import REGISTER

__all__ = ["register"]

register = as_flow(REGISTER)
