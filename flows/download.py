"""The stage `download` as a Prefect flow, deployable alone."""

from flows.stage import as_flow
from mfcore.stages.table import DOWNLOAD

__all__ = ["download"]

download = as_flow(DOWNLOAD)
