"""The stage `split` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import SPLIT

__all__ = ["split"]

split = as_flow(SPLIT)
