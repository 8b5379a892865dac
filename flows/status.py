"""Whether the nights go well: servers, runs, champion and export, and what is wrong with them."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlparse

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import ValidationError

from flows.parameters import configured
from flows.servers.stack import Stack
from mfcore.data.catalog import resolve
from mfcore.doctor import Finding
from mfcore.errors import MfcoreError, NothingToWorkFrom, SourceUnavailable, first_line
from mfcore.health import silence_of
from mfcore.serving.published import latest_manifest
from mfcore.settings import Settings
from mfcore.tracking.nights import last_nights
from mfcore.tracking.registry import CHAMPION, Registry

__all__ = ["examine"]

_TAG, _NIGHTLY = "mfcore", "nightly"
_LATE = timedelta(minutes=20)
_FAILED = (StateType.FAILED, StateType.CRASHED)


def examine(settings: Settings, dataset: str | None, within: timedelta) -> list[Finding]:
    """Look at all that a night needs and leaves behind.

    Args:
        settings: where things lie; the servers that `mfcore up` started are found by themselves.
        dataset: the data set to look at; None: those of the scheduled deployments, else the newest champion's.
        within: a data set is to have had a complete run for this long.
    """
    stack = Stack.read(settings.home)
    findings = list(_servers(stack)) if stack is not None else []
    prefect_url = os.environ.get("PREFECT_API_URL") or (stack.prefect_url if stack is not None else None)
    if stack is not None and "MLFLOW_TRACKING_URI" not in os.environ:
        settings = replace(settings, tracking_uri=stack.mlflow_url)
    scheduled: list[str] = []
    if prefect_url is not None:
        if silence_of(f"{prefect_url.rstrip('/')}/health") is None:
            runs, scheduled = _deployments(prefect_url)
            findings += runs
        elif stack is None:
            where = urlparse(prefect_url).netloc
            findings.append(Finding(what="Prefect", status="fail", found=f"no server answers at {where}"))
    try:
        for name in [dataset] if dataset else scheduled or [Registry.newest(settings).dataset]:
            findings += _dataset(settings, name, within)
    except MfcoreError as error:
        findings.append(Finding(what="registry", status="fail", found=str(error)))
    return findings


def _servers(stack: Stack) -> Iterator[Finding]:
    """The processes that `up` started, whether they run and answer."""
    if not stack.processes:
        yield Finding(what="servers", status="fail", found="stopped: `mfcore up` starts them")
    for process in stack.processes:
        if not process.is_alive:
            yield Finding(
                what=process.name, status="fail", found=f"ended: `mfcore up` starts it again; see {process.log}"
            )
        elif process.url is not None and silence_of(process.url) is not None:
            yield Finding(
                what=process.name, status="fail", found=f"does not answer at {process.url}; see {process.log}"
            )
        else:
            yield Finding(
                what=process.name,
                status="ok",
                found=f"process {process.pid}{f', {process.url}' if process.url else ''}",
            )


def _deployments(prefect_url: str) -> tuple[list[Finding], list[str]]:
    """How the last run of each deployment went, and the data sets of those that have a schedule."""
    findings, datasets = [], []
    with temporary_settings({PREFECT_API_URL: prefect_url}), get_client(sync_client=True) as client:
        try:
            deployments = client.read_deployments(deployment_filter=DeploymentFilter(tags={"all_": [_TAG]}))
            for deployment in deployments:
                name = f"{client.read_flow(deployment.flow_id).name}/{deployment.name}"
                findings.append(_last_run(client, deployment, name))
                if not any(schedule.active for schedule in deployment.schedules) or deployment.paused:
                    continue
                findings.append(_next_run(client, deployment, name))
                if _NIGHTLY not in deployment.tags:
                    continue
                try:
                    datasets.append(resolve(configured(deployment.parameters).dataset).name)
                except (ValidationError, MfcoreError) as error:
                    findings.append(Finding(what=name, status="fail", found=f"its settings: {first_line(error)}"))
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            findings.append(Finding(what="Prefect", status="fail", found=first_line(error)))
    return findings, list(dict.fromkeys(datasets))


def _first(
    client: SyncPrefectClient, deployment: DeploymentResponse, wanted: dict[str, Any], sort: FlowRunSort
) -> FlowRun | None:
    """The first of a deployment's runs in some order."""
    runs = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(**wanted),
        sort=sort,
        limit=1,
    )
    return runs[0] if runs else None


def _last_run(client: SyncPrefectClient, deployment: DeploymentResponse, name: str) -> Finding:
    begun = {"start_time": {"before_": datetime.now(UTC)}}
    run = _first(client, deployment, begun, FlowRunSort.START_TIME_DESC)
    if run is None or run.state is None or run.start_time is None:
        return Finding(what=name, status="ok", found="has not run yet")
    state = run.state
    told = f"{state.name} {_when(run.start_time)}, {run.total_run_time.total_seconds():.0f} s"
    if state.type in _FAILED:
        return Finding(what=name, status="fail", found=f"{told}: {first_line(state.message or '')}")
    return Finding(what=name, status="ok", found=told)


def _next_run(client: SyncPrefectClient, deployment: DeploymentResponse, name: str) -> Finding:
    waiting = {"state": {"type": {"any_": ["SCHEDULED", "PENDING"]}}}
    run = _first(client, deployment, waiting, FlowRunSort.EXPECTED_START_TIME_ASC)
    what = f"{name}, next"
    if run is None or run.expected_start_time is None:
        return Finding(what=what, status="fail", found="no run is scheduled: look at the server's log")
    due = run.expected_start_time
    if datetime.now(UTC) - due > _LATE:
        return Finding(what=what, status="fail", found=f"due {_when(due)}, and no worker takes it")
    return Finding(what=what, status="ok", found=_when(due))


def _dataset(settings: Settings, dataset: str, within: timedelta) -> Iterator[Finding]:
    """The nights of a data set, its champion, and whether what is exported is the champion."""
    last, complete = last_nights(settings, dataset)
    what, hours = f"{dataset}, last night", within.total_seconds() / 3600
    if complete is None or complete.ended is None:
        yield Finding(what=what, status="fail", found="no run of the pipeline was ever complete")
    else:
        ended = datetime.fromtimestamp(complete.ended / 1000, UTC)
        outcome = f"complete {_when(ended)}, {(complete.ended - complete.began) / 1000:.0f} s"
        if datetime.now(UTC) - ended > within:
            yield Finding(what=what, status="fail", found=f"{outcome}: more than {hours:g} hours ago")
        elif last is not None and last.status in ("FAILED", "KILLED"):
            yield Finding(what=what, status="fail", found=f"{outcome}; but the one since then {last.status.lower()}")
        else:
            yield Finding(what=what, status="ok", found=outcome)
    registry = Registry(settings, dataset)
    champion = registry.champion()
    what = f"{dataset}, champion"
    if champion is None:
        yield Finding(what=what, status="fail", found="none: `mfcore run` makes one")
        return
    reigning = [reign for reign in registry.history() if reign.role == CHAMPION and reign.until is None]
    since = _when(datetime.fromtimestamp(reigning[-1].since / 1000, UTC)) if reigning else "an unknown time"
    algorithms = ", ".join(f"{recipe.algorithm} for {objective}" for objective, recipe in champion.recipes.items())
    yield Finding(what=what, status="ok", found=f"version {champion.version} ({algorithms}) since {since}")
    yield _export(settings, dataset, champion.version)


def _export(settings: Settings, dataset: str, version: int) -> Finding:
    what = f"{dataset}, export"
    try:
        manifest = latest_manifest(settings, dataset)
        exported, age = manifest["model_version"], _when(datetime.fromisoformat(manifest["made_at"]))
    except (KeyError, ValueError):
        return Finding(what=what, status="fail", found="its manifest is damaged: `mfcore export` writes it anew")
    except (NothingToWorkFrom, SourceUnavailable) as error:
        return Finding(what=what, status="fail", found=str(error))
    if exported != version:
        return Finding(
            what=what,
            status="fail",
            found=f"version {exported}, not the champion's {version}: `mfcore export` writes it",
        )
    return Finding(what=what, status="ok", found=f"version {exported}, written {age}")


def _when(moment: datetime) -> str:
    """A moment in this machine's own time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment.timestamp()))
