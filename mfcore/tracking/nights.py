"""When the pipeline ran last, as MLflow knows it, whatever started it."""

from pydantic import BaseModel, ConfigDict

from mfcore.settings import Settings
from mfcore.tracking.names import EXPERIMENTS
from mfcore.tracking.store import prepare_store

__all__ = ["Night", "last_nights"]

_STAGE = "tags.stage = 'pipeline'"


class Night(BaseModel):
    """A run of the pipeline.

    Attributes:
        run_id: its run in MLflow.
        began: milliseconds since 1970.
        ended: the same; None while it runs.
        status: FINISHED, FAILED, KILLED or RUNNING.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    began: int
    ended: int | None
    status: str


def last_nights(settings: Settings, dataset: str) -> tuple[Night | None, Night | None]:
    """The last run of a data set's pipeline, and the last one that came to its end.

    Raises:
        SourceUnavailable: the tracking store does not answer.
    """
    client = prepare_store(settings.tracking_uri)
    experiment = client.get_experiment_by_name(f"{EXPERIMENTS}{dataset}")
    if experiment is None:
        return None, None

    def newest(condition: str) -> Night | None:
        runs = client.search_runs(
            [experiment.experiment_id], condition, max_results=1, order_by=["attributes.start_time DESC"]
        )
        if not runs:
            return None
        info = runs[0].info
        return Night(run_id=info.run_id, began=info.start_time, ended=info.end_time, status=info.status)

    return newest(_STAGE), newest(f"{_STAGE} and attributes.status = 'FINISHED'")
