"""Watch: look in the morning whether the night went well, and fail if it did not, so that somebody is told."""

import logging

from prefect import flow

from flows.automations import NIGHT
from flows.hooks import tell_schedule
from flows.status import examine
from mfcore.errors import MfcoreError
from mfcore.settings import Settings

__all__ = ["watch"]


logger = logging.getLogger("mfcore.flows")


@flow(name="watch", on_running=[tell_schedule])
def watch() -> None:
    """Fail when something is wrong with servers, runs, champion or export, as `mfcore status` says it.

    Raises:
        MfcoreError: what is wrong.
    """
    findings = examine(Settings.read(), None, NIGHT)
    for finding in findings:
        logger.info("%s: %s, %s", finding.what, finding.status, finding.found)
    wrong = [f"{finding.what}: {finding.found}" for finding in findings if finding.status == "fail"]
    if wrong:
        raise MfcoreError("; ".join(wrong))
