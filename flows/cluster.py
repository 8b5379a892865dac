"""Parts of a stage's work on a Dask or Ray cluster: tasks of a flow of their own, by Prefect's task runners."""

import logging
import pkgutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import TaskRunner

from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.health import silence_at

__all__ = ["parts_on"]

logger = logging.getLogger("mfcore.stages")

_ANSWER_S = 10
_LEAVE_S = 60
"""Seconds that parts have to end once nobody waits for what they do."""


@contextmanager
def parts_on(
    context: Context, address: str, work: str, parts: Sequence[dict[str, Any]], wait_s: float | None
) -> Iterator[Callable[[], None]]:
    """`Observer.on_cluster`, within the flow whose context that is."""
    runner = _runner(address)
    _reach(address)

    def run() -> None:
        try:
            cluster.with_options(task_runner=runner)(work, list(parts), wait_s)
        except Exception as error:  # whatever a cluster does, this machine goes on without it
            logger.warning("%s takes no part any more: %s", address, first_line(error))

    thread = threading.Thread(target=context.run, args=(run,), name="cluster", daemon=True)
    thread.start()
    try:
        yield thread.join
    finally:
        thread.join(_LEAVE_S)
        if thread.is_alive():
            logger.warning("%s has not ended its part within %d s; it is left to itself", address, _LEAVE_S)


@task(task_run_name="{work} {number}", cache_policy=NO_CACHE)
def part(work: str, number: int, given: dict[str, Any]) -> None:
    """One part; a worker of the cluster runs it."""
    pkgutil.resolve_name(work)(given)


@flow(name="cluster", validate_parameters=False)
def cluster(work: str, parts: list[dict[str, Any]], wait_s: float | None) -> None:
    """All parts, unless none ends for `wait_s` seconds: a cluster whose workers are dead waits for others for ever."""
    under_way = [part.submit(work, number, given) for number, given in enumerate(parts)]
    while under_way:
        done, left = wait(under_way, timeout=wait_s)
        for future in done:
            try:
                future.result()
            except Exception as error:  # as that of its own flow
                logger.warning("a part of %s failed on the cluster: %s", work, first_line(error))
        if not done:
            raise TimeoutError(f"no part of {work} has ended for {wait_s} s")
        under_way = list(left)


def _runner(address: str) -> TaskRunner[Any]:
    """What submits tasks to the cluster.

    Raises:
        UsageError: it is not installed.
    """
    kind, _, place = address.partition("://")
    runner: TaskRunner[Any]
    try:
        if kind == "dask":
            from prefect_dask import DaskTaskRunner

            runner = DaskTaskRunner(address=f"tcp://{place}")
        else:
            from prefect_ray import RayTaskRunner

            runner = RayTaskRunner(address=address)
        return runner
    except ModuleNotFoundError as error:
        raise UsageError(f"{address} needs more than is installed: run `pip install mfcore[{kind}]`.") from error


def _reach(address: str) -> None:
    """Find out in seconds what the cluster's own client takes half a minute and more for."""
    silence = silence_at(address.partition("://")[2], _ANSWER_S)
    if silence is not None:
        raise SourceUnavailable(
            f"The cluster at {address} does not answer: {silence}. Start it, or set cluster.address."
        )
