"""How far a search is: a bar in a terminal, a progress artifact where a Prefect server shows it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.settings import PREFECT_API_URL

from flows.common import artifact_key
from mfcore.terminal import progress_bar

__all__ = ["progress"]

_EVERY_S = 2.0
"""Seconds between updates of the artifact; each is a request."""


@contextmanager
def progress(study: str, dataset: str) -> Iterator[Callable[[int, int, float | None], None]]:
    """Show the progress of a study while the block runs.

    Yields what is told of it: `move(finished, planned, best)`, with the best value so far.
    """
    artifact: UUID | None = None
    updated = -math.inf

    def publish(finished: int, planned: int, remark: str) -> None:
        nonlocal artifact, updated
        if time.monotonic() - updated < _EVERY_S and finished < planned:
            return
        updated = time.monotonic()
        share, description = 100.0 * finished / planned, f"{finished} of {planned} trials of {study} {remark}"
        if artifact is None:
            key = artifact_key("tuning", study, dataset)
            # Typed for asynchronous callers as well.
            artifact = cast(UUID, create_progress_artifact(progress=share, key=key, description=description))
        else:
            update_progress_artifact(artifact, progress=share, description=description)

    with progress_bar(study) as move_bar:

        def move(finished: int, planned: int, best: float | None) -> None:
            remark = f"best {best:.4f}" if best is not None else ""
            move_bar(finished, planned, remark)
            if PREFECT_API_URL.value():  # the temporary server has nobody who would look
                publish(finished, planned, remark)

        yield move
