"""What happens while nobody looks: a dead worker, runs that overlap, what Prefect's server tells."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import yaml
from prefect import flow
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from flows.automations import install
from flows.heartbeats import heartbeats
from flows.hooks import try_later
from flows.observer import PrefectObserver
from flows.turns import turn
from mfcore.errors import DataInvalid, SourceUnavailable
from tests.flows.conftest import BIN, SMALL, connected, free_port, stop, wait_for

ROOT = Path(__file__).parents[2]


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A webhook on loopback: its URL, and the texts it was told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        server.server_close()


def until(found: Callable[[], Any], timeout: float, log: Path | None = None) -> Any:
    """What `found` finds once it finds something."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if outcome := found():
            return outcome
        time.sleep(0.5)
    pytest.fail(f"not within {timeout} s" + (f": {log.read_text()[-4000:]}" if log else ""))


def test_installing_automations_again_changes_nothing(prefect_server: dict[str, str]) -> None:
    with connected(prefect_server) as client, receiver() as (url, _):
        made = install(url)
        assert len(made) == len(set(made)) == 7
        assert install(url) == []
        assert install(url, timedelta(seconds=90)) == ["mfcore: crashed"]
        gone = install(None, timedelta(seconds=90))
        assert gone and all("tell" in name for name in gone)
        for one in client.read_automations():
            client.delete_automation(one.id)


@pytest.mark.slow
def test_two_runs_of_a_data_set_take_turns(prefect_server: dict[str, str]) -> None:
    spans: list[tuple[float, float]] = []

    @flow(name="inner")
    def inner() -> None:
        with turn("turns"):  # its parent's
            time.sleep(0.5)

    @flow(name="hold")
    def hold(dataset: str) -> None:
        with turn(dataset):
            began = time.monotonic()
            inner()
            if dataset == "turns":
                spans.append((began, time.monotonic()))

    def run(dataset: str) -> None:
        with connected(prefect_server):
            hold(dataset)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("turns", "turns", "others")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (_, first_end), (second_start, _) = sorted(spans)
    assert first_end <= second_start
    with connected(prefect_server) as client:
        for name in ("mfcore-turns", "mfcore-others"):
            limit = client.read_global_concurrency_limit_by_name(name)
            assert (limit.limit, limit.active_slots) == (1, 0)


def test_what_others_may_wait_for_is_an_event_of_the_run(prefect_server: dict[str, str]) -> None:
    @flow(name="announcing")
    def announcing() -> None:
        PrefectObserver().announce("champion.promoted", "shop", version=7, before=None)

    with connected(prefect_server):
        announcing()
        wanted = {"filter": {"event": {"name": ["mfcore.champion.promoted"]}}, "limit": 10}

        def emitted() -> list[dict[str, Any]]:
            answer = httpx.post(f"{prefect_server['PREFECT_API_URL']}/events/filter", json=wanted, timeout=10)
            found: list[dict[str, Any]] = answer.json()["events"]
            return [one for one in found if one["resource"]["prefect.resource.name"] == "shop"]

        (event,) = until(emitted, 60)
    assert event["payload"] == {"version": 7, "before": None}
    assert event["resource"]["prefect.resource.id"] == "mfcore.dataset.shop"
    assert "flow-run" in {one["prefect.resource.role"] for one in event["related"]}


def test_a_flow_within_a_flow_says_that_it_lives_and_is_not_kept_waiting(prefect_server: dict[str, str]) -> None:
    taken: list[float] = []

    @flow(name="living")
    def living() -> UUID:
        began = time.monotonic()
        with heartbeats(30):
            pass
        taken.append(time.monotonic() - began)
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        return context.flow_run.id

    @flow(name="around")
    def around() -> UUID:
        return living()

    with connected(prefect_server):
        run_id = around()
        wanted = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}, "limit": 50}

        def emitted() -> list[dict[str, Any]]:
            answer = httpx.post(f"{prefect_server['PREFECT_API_URL']}/events/filter", json=wanted, timeout=10)
            found: list[dict[str, Any]] = answer.json()["events"]
            return [one for one in found if one["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run_id}"]

        (event,) = until(emitted, 60)
    assert taken[0] < 0.5
    flows = [one for one in event["related"] if one["prefect.resource.role"] == "flow"]
    assert [one["prefect.resource.name"] for one in flows] == ["living"]


@pytest.mark.slow
def test_data_that_have_drifted_are_told(prefect_server: dict[str, str]) -> None:
    @flow(name="drifting")
    def drifting() -> None:
        PrefectObserver().announce("data.drifted", "shop", warnings=["mean: 3.1, before 3.6", "size: 9, before 4"])

    with connected(prefect_server) as client, receiver() as (url, told):
        install(url)
        try:
            time.sleep(5)  # triggers are loaded by then
            drifting()
            until(lambda: told, 60)
        finally:
            for one in client.read_automations():
                client.delete_automation(one.id)
    (text,) = told
    assert text.startswith("mfcore: the ratings of shop have drifted\n")
    assert "mean: 3.1, before 3.6\nsize: 9, before 4\n" in text


@pytest.mark.slow
def test_a_promotion_by_a_deployment_is_exported_and_one_within_the_pipeline_is_not(
    prefect_server: dict[str, str], tmp_path: Path
) -> None:
    """The trigger of `deployment/prefect.yaml`, deployed as it is; no worker runs, so that runs stay scheduled."""
    tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
    tree["deployments"] = [one for one in tree["deployments"] if one["name"] == "export"]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(tree))
    environment = {**os.environ, **prefect_server}
    for command in (
        ("work-pool", "create", "mfcore", "--type", "process", "--overwrite"),
        ("--no-prompt", "deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml")),
    ):
        subprocess.run([str(BIN / "prefect"), *command], cwd=ROOT, env=environment, check=True, capture_output=True)

    @flow(name="register")
    def promoting(version: int) -> None:
        PrefectObserver().announce("champion.promoted", "ml-100k", version=version)

    @flow(name="pipeline")
    def chain() -> None:
        promoting(1)

    with connected(prefect_server) as client:

        def exports() -> list[FlowRun]:
            return client.read_flow_runs(deployment_filter=DeploymentFilter(name={"any_": ["export"]}))

        time.sleep(5)
        from prefect.flow_engine import run_flow

        for one in (chain, promoting):
            flow_id = client.create_flow(one)
            deployment = client.create_deployment(flow_id, "promoting")
            run = client.create_flow_run_from_deployment(deployment)
            run_flow(one, flow_run=run, parameters={} if one is chain else {"version": 2}, return_type="state")
        (found,) = until(exports, 60)
        time.sleep(5)
        assert exports() == [found]
        assert found.parameters["config"]["dataset"]["name"] == "ml-100k"
        event = found.created_by
        assert event is not None and event.type == "AUTOMATION"


@pytest.mark.parametrize(
    ("error", "is_tried_again"), [(SourceUnavailable("no answer"), True), (DataInvalid("bad"), False)]
)
def test_a_failed_run_is_tried_again_when_that_may_help(
    prefect_server: dict[str, str], error: Exception, is_tried_again: bool
) -> None:
    @flow(name="failing", on_failure=[try_later])
    def failing() -> None:
        raise error

    with connected(prefect_server) as client:
        flow_id = client.create_flow(failing)
        deployment = client.create_deployment(flow_id, f"failing-{type(error).__name__}")
        run = client.create_flow_run_from_deployment(deployment)
        from prefect.flow_engine import run_flow

        run_flow(failing, flow_run=run, return_type="state")
        after = client.read_flow_run(run.id)
        client.delete_deployment(deployment)
    assert after.state is not None
    if is_tried_again:
        assert (after.state.type.value, after.state.name) == ("SCHEDULED", "AwaitingRetry")
        assert after.next_scheduled_start_time is not None
        wait = after.next_scheduled_start_time - after.state.timestamp
        assert timedelta(minutes=4) < wait < timedelta(minutes=6)
    else:
        assert after.state.type.value == "FAILED"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_worker_costs_one_night_at_most(tmp_path: Path) -> None:
    """SIGKILL to worker and flow: the run is marked, somebody is told, and both it and the next one complete."""
    home, port = tmp_path / "prefect", free_port()
    server_environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "DO_NOT_TRACK": "true",
    }
    environment = {
        **os.environ,
        **server_environment,
        "MFCORE_HOME": str(tmp_path / "home"),
        "MFCORE_EXPORTS": str(tmp_path / "exports"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}",
    }
    tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
    tree["deployments"] = [one for one in tree["deployments"] if one["name"] == "nightly"]
    tree["deployments"][0]["parameters"] = {
        "config": {"dataset": {"name": SMALL}, "tuning": {"n_trials": 2, "algorithms": ["als"]}}
    }
    tree["deployments"][0]["schedules"] = [{"interval": 200, "active": True}]
    file, log = tmp_path / "prefect.yaml", tmp_path / "worker.log"
    file.write_text(yaml.safe_dump(tree))

    def start(*command: str, output: Path) -> "subprocess.Popen[bytes]":
        with output.open("ab") as stream:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
            )

    def prefect(*arguments: str) -> None:
        subprocess.run([str(BIN / "prefect"), *arguments], cwd=ROOT, env=environment, check=True, capture_output=True)

    def worker() -> "subprocess.Popen[bytes]":
        return start(str(BIN / "prefect"), "worker", "start", "--pool", "mfcore", "--limit", "2", output=log)

    started = [start(str(BIN / "prefect"), "server", "start", "--port", str(port), output=tmp_path / "server.log")]
    try:
        wait_for(f"{server_environment['PREFECT_API_URL']}/health", started[0], timeout=400)
        prefect("work-pool", "create", "mfcore", "--type", "process")
        prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file))
        with receiver() as (url, told), connected(server_environment) as client:
            install(url, timedelta(seconds=100))

            def runs(*states: str) -> list[FlowRun]:
                found = client.read_flow_runs(
                    deployment_filter=DeploymentFilter(name={"any_": ["nightly"]}),
                    flow_run_filter=FlowRunFilter(state={"name": {"any_": list(states)}}),
                )
                return [one for one in found if one.parent_task_run_id is None]

            started.append(worker())
            running = until(lambda: runs("Running"), 400, log)[0]
            time.sleep(2)  # it has its turn by now, and has said once that it lives
            victim = int(str(running.infrastructure_pid).rpartition(":")[2])
            os.kill(victim, signal.SIGKILL)
            os.killpg(started[1].pid, signal.SIGKILL)

            def was_crashed() -> bool:
                names = [state.name for state in client.read_flow_run_states(running.id)]
                return "Crashed" in names

            until(was_crashed, 240)
            until(lambda: any("Crashed" in text or "crashed" in text for text in told), 60)
            # The flows within it send heartbeats of their own, by which each of them is found.
            alive = FlowRunFilter(state={"type": {"any_": ["RUNNING"]}})
            until(lambda: not client.read_flow_runs(flow_run_filter=alive), 120)

            started.append(worker())

            def is_done(one: FlowRun) -> bool:
                now = client.read_flow_run(one.id)
                return now.state is not None and now.state.is_completed()

            def is_next_done() -> bool:
                return any(one.auto_scheduled and one.id != running.id for one in runs("Completed"))

            until(is_next_done, 400, log)
            until(lambda: is_done(running), 400, log)
            assert not runs("Failed", "Cancelled")
    finally:
        for process in reversed(started):
            stop(process)
