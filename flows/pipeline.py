"""The pipeline as a Prefect flow, each stage a flow within it."""

from prefect import flow
from prefect.runtime import flow_run

from flows.hooks import tell_schedule, try_later
from flows.observer import PrefectObserver
from flows.parameters import configured
from flows.stage import run_within
from flows.turns import turn
from mfcore.config import PipelineConfig
from mfcore.machine import collect_seldom
from mfcore.stages.context import Context
from mfcore.stages.pipeline import PipelineResult, run_pipeline

__all__ = ["pipeline"]


def _dataset() -> str:
    """The data set by which a run is named; whether the rest is possible is seen when the run begins."""
    given = flow_run.parameters
    return str(given.get("dataset") or given.get("config", PipelineConfig()).dataset.name)


@flow(name="pipeline", flow_run_name=_dataset, on_running=[tell_schedule], on_failure=[try_later])
def pipeline(
    dataset: str | None = None,
    n_trials: int | None = None,
    algorithms: list[str] | None = None,
    config: PipelineConfig = PipelineConfig(),
) -> PipelineResult:
    """The whole chain; a stage whose inputs have not changed is reused.

    Args:
        dataset: A known name, a path or URL of ratings, or synthetic:users=…,items=…,ratings=…
        n_trials: Trials per study, instead of the configuration's.
        algorithms: Algorithms to tune for both heads, as far as they can be, instead of the configuration's.
        config: All settings, as a configuration file has them. What is given above goes before.
    """
    collect_seldom()  # Prefect has started the process of a scheduled run
    named = {"dataset": dataset, "n_trials": n_trials, "algorithms": algorithms}
    context = Context(configured({**named, "config": config}), observer=PrefectObserver())
    with turn(context.dataset_name):
        return run_pipeline(context, run_within)
