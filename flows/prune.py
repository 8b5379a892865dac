"""Prune: once a week, what has not been used for long and nothing needs goes."""

from prefect import flow

from flows.hooks import tell_schedule, try_later
from flows.observer import PrefectObserver
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.prune import prune as remove_leftovers
from mfcore.stages.prune import summary

__all__ = ["prune"]


@flow(name="prune", on_running=[tell_schedule], on_failure=[try_later])
def prune(config: PipelineConfig = PipelineConfig()) -> int:
    """Remove what `[retention]` lets go, of all data sets; returns how many things that were."""
    context = Context(config, observer=PrefectObserver())
    removed = context.observer.step("remove", lambda: remove_leftovers(context, for_good=True))
    context.observer.show_table("pruned", summary(removed), "What was removed")
    return len(removed)
