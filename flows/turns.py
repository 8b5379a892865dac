"""One run at a time per data set, whichever deployment or person started it."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.temporary_server import is_lasting
from mfcore.errors import SourceUnavailable
from mfcore.tracking.names import model_name

__all__ = ["turn"]

logger = logging.getLogger("mfcore.flows")

_LEASE_S = 60
"""Seconds after which the turn of a run that was killed passes on; a living run renews it."""

_PATIENCE_S = 12 * 3600


@contextmanager
def turn(dataset: str) -> Iterator[None]:
    """Run the block when no other run of the data set is under way; wait for that as long as it takes.

    What is held is a global concurrency limit on Prefect's server by the registered model's name.
    A subflow has its parent's turn, and without a server there is nobody to wait for.

    Raises:
        SourceUnavailable: another run kept it for half a day.
    """
    context = FlowRunContext.get()
    is_subflow = context is not None and context.flow_run is not None and context.flow_run.parent_task_run_id
    if is_subflow or not is_lasting():
        yield
        return
    name = model_name(dataset)
    if _is_taken(name):
        logger.info("another run of %s is under way: this one waits for its turn", dataset)
    with ExitStack() as stack:
        # A deployment's own limit would cost no process while a run waits, but it ends the run
        # that is under way when Prefect's server restarts; this one lets it go on.
        held = concurrency(
            name, timeout_seconds=_PATIENCE_S, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False
        )
        try:
            stack.enter_context(held)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"another run kept {dataset} busy for {_PATIENCE_S // 3600} hours. "
                f"Cancel it, or free its place: prefect gcl update {name} --active-slots 0"
            ) from error
        yield


def _is_taken(name: str) -> bool:
    """Whether a run holds the limit, which is made if this data set has none yet."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name).active_slots > 0
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # by a run that began at the same time
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    return False
