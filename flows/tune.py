"""The stage `tune` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import TUNE

__all__ = ["tune"]

tune = as_flow(TUNE)
