"""`mfcore serve` as a process: it follows the alias, counts over all its processes, and stops on SIGTERM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfcore.errors import UsageError
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tracking.service import listen
from tests.unit.serving.test_http import LIKELY, PATHS, VALUES, fuzz
from tests.unit.tracking.conftest import settings_in

WAIT_S = 120


@pytest.fixture(scope="module")
def settings(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_in(tmp_path_factory.mktemp("served"))
    registry = Registry(settings, "films")
    with Experiment(settings, "films").run("register") as run:
        uri = log_model(model, run, "als", {}, {})
    for n in (1, 2):
        registry.add(uri, run, recipes={}, fingerprint=str(n), data="d", split="s", metrics={}, description="")
    registry.promote(1)
    return settings


def until(there: Callable[[], Any]) -> Any:
    """Whatever `there` gives that is true, within a time that no machine is too slow for."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            found = there()
        except httpx.TransportError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def fuzz_at_length(client: httpx.Client) -> None:
    """Thousands of requests that make sense or none."""

    @hypothesis.settings(max_examples=1500, deadline=None, database=None)
    @given(path=st.sampled_from(PATHS), body=LIKELY | VALUES | st.binary(max_size=200))
    def ask(path: str, body: Any) -> None:
        fuzz(client, path, body if isinstance(body, bytes) else json.dumps(body).encode())

    @hypothesis.settings(max_examples=500, deadline=None, database=None)
    @given(
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
        path=st.sampled_from([*PATHS, "/", "/ready", "/metrics", "/docs"])
        | st.text("az/.%?", max_size=8).map(lambda text: "/" + text.lstrip("/")),  # two would begin a host's name
        kind=st.sampled_from(
            ["application/json", "text/csv", "multipart/form-data", "application/json; charset=x", ""]
        ),
        body=st.binary(max_size=200),
    )
    def knock(method: str, path: str, kind: str, body: bytes) -> None:
        assert client.request(method, path, content=body, headers={"content-type": kind}).status_code < 500

    ask()
    knock()


def test_connections_send_at_once_what_they_have() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_said_in_a_line() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UsageError, match=f"can't listen at 127.0.0.1, port {port}: Address already in use; give"):
            listen("127.0.0.1", port)
    with pytest.raises(UsageError, match="can't listen at no.such.host.invalid, port 1: "):
        listen("no.such.host.invalid", 1)


@contextmanager
def serving(settings: Settings, workers: int, folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """`mfcore serve` in a process group of its own, none of which is left afterwards, whatever failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MFCORE_HOME": str(settings.home), "MLFLOW_TRACKING_URI": settings.tracking_uri}
    command = [sys.executable, "-m", "mfcore", "serve", "-d", "films", "--port", str(port), "--workers", str(workers)]
    server = subprocess.Popen(
        command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
            yield server, client
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        _, errors = server.communicate()
    assert "Traceback" not in errors


def answers_from(client: httpx.Client, version: int) -> bool:
    answer = client.post("/recommend", json={"user_id": 5, "k": 3})
    return answer.status_code == 200 and answer.json()["model_version"] == version


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.timeout(900))])
def test_a_server_follows_the_alias_and_stops_when_told(settings: Settings, workers: int, tmp_path: Path) -> None:
    registry = Registry(settings, "films")
    registry.promote(1)
    with serving(settings, workers, tmp_path) as (server, client):
        until(lambda: answers_from(client, 1))
        ready = {httpx.get(f"{client.base_url}/ready").status_code for _ in range(30)}
        assert ready == {200}, "each process answers from its first connection on"
        registry.promote(2)
        until(lambda: answers_from(client, 2))
        assert client.post("/recommend", content=b"{").status_code == 400
        if workers > 1:
            fuzz_at_length(client)
            assert client.get("/health").status_code == 200 and answers_from(client, 2)
        counted = client.get("/metrics").text
        if workers == 1:
            assert 'mfcore_requests_total{path="/recommend",status="400"} 1.0' in counted
        assert 'status="500"' not in counted
        client.close()
        server.send_signal(signal.SIGTERM)
        assert server.wait(WAIT_S) == 0


@pytest.mark.slow
def test_no_process_outlives_a_server_that_is_killed(settings: Settings, tmp_path: Path) -> None:
    Registry(settings, "films").promote(1)
    with serving(settings, 2, tmp_path) as (server, client):
        until(lambda: answers_from(client, 1))
        client.close()
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        until(lambda: not is_alive(server.pid))


def is_alive(group: int) -> bool:
    """Whether any process of a group is."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
