"""What a deployment's run does when it begins, and when it fails."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import emit_event
from prefect.flows import Flow
from prefect.states import AwaitingRetry

from mfcore.errors import SourceUnavailable

__all__ = ["tell_schedule", "try_later"]

logger = logging.getLogger("mfcore.flows")

_DELAYS_MIN = (5, 30)
"""Minutes to wait before the second and the third try."""


def tell_schedule(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Emit the event that Prefect's scheduler owes: that this run was scheduled.

    Each event of a run names the one before it, and automations put those off whose predecessor
    never came, for 15 minutes. Of a run that the scheduler made, that would be all of them.
    """
    if not flow_run.auto_scheduled:
        return
    with get_client(sync_client=True) as client:
        first = min(client.read_flow_run_states(flow_run.id), key=lambda state: state.timestamp)
    resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.name": flow_run.name}
    emit_event(f"prefect.flow-run.{first.name}", resource, occurred=first.timestamp, id=first.id)


def try_later(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Schedule a failed run anew, if it may succeed later: a source or a store was out of reach.

    Bad data and wrong settings stay what they are, so such a run is left failed. Meanwhile the
    worker is free for other runs.
    """
    error = state.result(raise_on_failure=False)
    tries = flow_run.run_count
    if flow_run.deployment_id is None or not isinstance(error, SourceUnavailable) or tries > len(_DELAYS_MIN):
        return
    delay = timedelta(minutes=_DELAYS_MIN[tries - 1])
    with get_client(sync_client=True) as client:
        later: State[Any] = AwaitingRetry(scheduled_time=datetime.now(UTC) + delay, message=str(error))
        client.set_flow_run_state(flow_run.id, later)
    logger.warning("%s: try %d in %d minutes", flow.name, tries + 1, delay.total_seconds() // 60)
