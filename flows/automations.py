"""What Prefect's server does by itself, so that no night is lost without anybody knowing.

| automation | when | then |
|---|---|---|
| crashed | a run's heartbeats stop: its process or machine is gone | the run is marked Crashed |
| never began | a worker took a run and was gone before it began | the run is marked Crashed |
| again | a deployment's run crashed, for the first time in six hours | the run is scheduled anew |
| tell: … | a run failed or crashed, no worker took it, a night is missing, or data have drifted | a notification |

`python -m flows.automations` brings the server's automations up to date; a second time changes nothing.
The notifications go where the variable `MFCORE_NOTIFY` says: the URL of a webhook that takes JSON with
a `text`, as Slack's and Mattermost's do, or a notification block of Prefect's as `type/name`, for
instance `sendgrid-email/ops`. Without it there are none.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.exceptions import ObjectNotFound

from flows.environment import prepare
from mfcore.errors import UsageError

__all__ = ["NIGHT", "SILENCE", "automations", "install"]

NIGHT = timedelta(hours=26)
"""A night is missing when nothing was completed for this long."""

SILENCE = timedelta(minutes=3)
"""How long a living run is never silent: `deployment/prefect.yaml` has it send a heartbeat every 30 s."""

_UNBEGUN = timedelta(minutes=20)
"""How long a run may take to begin; more than the 15 minutes by which its events may be late (`flows/hooks.py`)."""

_PREFIX = "mfcore: "
_FLOWS = ["pipeline", "download", "validate", "split", "tune", "evaluate", "register", "export", "watch", "prune"]
_RUN, _DEPLOYMENT = "prefect.resource.id", "related:deployment:prefect.resource.id"
_ENDS = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut")}
_DEPLOYED = {"prefect.resource.role": "deployment"}


def automations(notify: UUID | None = None, silence: timedelta = SILENCE) -> Iterator[AutomationCore]:
    """The automations that a server should have.

    Args:
        notify: the notification block that is told; None: nobody.
        silence: how long after its last heartbeat a run counts as dead.
    """
    ours: dict[str, str | list[str]] = {"prefect.resource.role": "flow", "prefect.resource.name": _FLOWS}
    yield _automation(
        "crashed",
        EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *_ENDS},
            match={_RUN: "prefect.flow-run.*"},
            match_related=ours,
            for_each={_RUN},
            posture=Posture.Proactive,
            within=silence,
        ),
        ChangeFlowRunState(state=StateType.CRASHED, message=f"No heartbeat for {silence}: the process is gone."),
    )
    yield _automation(
        "never began",
        EventTrigger(
            after={"prefect.flow-run.Pending"},
            expect={"prefect.flow-run.Running", *_ENDS},
            match={_RUN: "prefect.flow-run.*"},
            match_related=[_DEPLOYED, ours],
            for_each={_RUN},
            posture=Posture.Proactive,
            within=_UNBEGUN,
        ),
        ChangeFlowRunState(state=StateType.CRASHED, message="A worker took this run and never began it."),
    )
    yield _automation(
        "again",
        EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match={_RUN: "prefect.flow-run.*"},
            match_related=[_DEPLOYED, ours],
            for_each={_DEPLOYMENT},
            # Once in this time: what crashes at every try must not do so all day.
            within=timedelta(hours=6),
        ),
        ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="Crashed: tried again."),
    )
    if notify is not None:
        yield from _notifications(notify, ours)


def _notifications(block: UUID, ours: dict[str, str | list[str]]) -> Iterator[AutomationCore]:
    run = "{{ flow.name }}/{{ deployment.name }}, run {{ flow_run.name }}"
    body = f"{run}: {{{{ flow_run.state.message }}}}\n{{{{ flow_run|ui_url }}}}"

    def tell(name: str, subject: str, trigger: EventTrigger, body: str = body) -> AutomationCore:
        return _automation(
            f"tell: {name}", trigger, SendNotification(block_document_id=block, subject=subject, body=body)
        )

    yield tell(
        "failed",
        "mfcore: a run {{ flow_run.state.name|lower }}",
        EventTrigger(
            expect={f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "TimedOut")},
            match={_RUN: "prefect.flow-run.*"},
            match_related=[_DEPLOYED, ours],
            for_each={_RUN},
        ),
    )
    yield tell(
        "not taken",
        "mfcore: no worker takes a run that is due",
        EventTrigger(
            after={"prefect.flow-run.Late"},
            expect={"prefect.flow-run.Pending", "prefect.flow-run.Running", *_ENDS},
            match={_RUN: "prefect.flow-run.*"},
            match_related=[_DEPLOYED, ours],
            for_each={_RUN},
            posture=Posture.Proactive,
            within=_UNBEGUN,
        ),
    )
    yield tell(
        "night missing",
        f"mfcore: no night was completed in {NIGHT.total_seconds() / 3600:.0f} hours; the last that was:",
        EventTrigger(
            # What was completed begins a new time of waiting; so the time counts from the last one.
            after={"prefect.flow-run.Completed"},
            expect={"prefect.flow-run.Completed"},
            match={_RUN: "prefect.flow-run.*"},
            match_related=[_DEPLOYED, ours, {_RUN: "prefect.tag.nightly"}],
            for_each={_DEPLOYMENT},
            posture=Posture.Proactive,
            within=NIGHT,
        ),
    )
    yield tell(
        "data drifted",
        "mfcore: the ratings of {{ event.resource.name }} have drifted",
        EventTrigger(
            expect={"mfcore.data.drifted"},
            match={_RUN: "mfcore.dataset.*"},
            for_each={_RUN},
            posture=Posture.Reactive,
            threshold=1,
        ),
        "{% for warning in event.payload.warnings %}{{ warning }}\n{% endfor %}The run goes on with them.",
    )


def _automation(name: str, trigger: EventTrigger, action: ChangeFlowRunState | SendNotification) -> AutomationCore:
    return AutomationCore(name=f"{_PREFIX}{name}", trigger=trigger, actions=[action])


def install(notify: str | None = None, silence: timedelta = SILENCE) -> list[str]:
    """Bring the server's automations up to date, and return the names of those that were changed.

    One that is as it should be is left alone: what it has counted so far would be lost.

    Args:
        notify: the URL of a webhook, or a notification block as type/name.
        silence: as for `automations`.

    Raises:
        UsageError: there is no such block.
    """
    changed = []
    with get_client(sync_client=True) as client:
        block = None if notify is None else _block(client, notify)
        there = {
            automation.name: automation
            for automation in client.read_automations()
            if automation.name.startswith(_PREFIX)
        }
        for wanted in automations(block, silence):
            existing = there.pop(wanted.name, None)
            if existing is None:
                client.create_automation(wanted)
            elif _rules(existing) != _rules(wanted):
                client.update_automation(existing.id, wanted)
            else:
                continue
            changed.append(wanted.name)
        for name, old in there.items():
            client.delete_automation(old.id)
            changed.append(name)
    return changed


def _rules(automation: AutomationCore) -> dict[str, object]:
    """What an automation does, and when."""
    return automation.model_dump(include={"trigger", "actions"})


def _block(client: SyncPrefectClient, notify: str) -> UUID:
    """The notification block that was named, or one for the webhook's URL."""
    if "://" in notify:
        block = CustomWebhookNotificationBlock(name="mfcore", url=notify, json_data={"text": "{{subject}}\n{{body}}"})
        return cast(UUID, block.save("mfcore", overwrite=True))
    kind, slash, name = notify.partition("/")
    try:
        if slash:
            return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound:
        pass
    raise UsageError(
        f"MFCORE_NOTIFY={notify!r} is neither the URL of a webhook nor a block of Prefect's as type/name. "
        "`prefect block ls` shows those there are."
    )


def main() -> None:
    """Install the automations, with the notifications that the environment asks for."""
    prepare()
    for name in install(os.environ.get("MFCORE_NOTIFY") or None):
        print(f"changed  {name}")


if __name__ == "__main__":
    main()
