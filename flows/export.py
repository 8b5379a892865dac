"""The stage `export` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import EXPORT

__all__ = ["export"]

export = as_flow(EXPORT)
