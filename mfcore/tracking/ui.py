"""MLflow's own pages on this project's store."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable

from mlflow import MlflowClient

from mfcore.errors import UsageError
from mfcore.health import silence_of
from mfcore.settings import Settings, is_server
from mfcore.tracking.names import EXPERIMENTS, runs_page
from mfcore.tracking.store import prepare_store

__all__ = ["serve"]

logger = logging.getLogger(__name__)

_START_TIMEOUT_S, _STOP_TIMEOUT_S = 120, 15


def serve(settings: Settings, port: int, announce: Callable[[str], None], *, open_page: bool = False) -> None:
    """Start MLflow's server on the tracking store and wait until it ends or is interrupted.

    The page of the experiment that was run last is the place to begin. Its address goes to
    `announce` once it answers, and to a browser if `open_page`. A store that is a server already
    has pages of its own: nothing is started.

    Raises:
        SourceUnavailable: the store does not answer.
        UsageError: the server ended before it answered.
    """

    def tell(server_url: str) -> None:
        announce(server_url + page)
        if open_page:
            webbrowser.open(server_url + page)

    page = _first_page(prepare_store(settings.tracking_uri))
    if is_server(settings.tracking_uri):
        tell(settings.tracking_uri.rstrip("/"))
        return
    port = _free(port)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", settings.tracking_uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # A plain kill, as by a service manager, must not leave the server behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command, env=environment, stdout=sys.stderr, start_new_session=True)
    try:
        _wait(url, server)
        tell(url)
        server.wait()
    except KeyboardInterrupt:
        logger.info("stopped")
    finally:
        _stop(server)


def _first_page(client: MlflowClient) -> str:
    """Path of the page of this project's experiment with the newest run; the list of experiments if there is none."""
    own = [experiment for experiment in client.search_experiments() if experiment.name.startswith(EXPERIMENTS)]
    newest = client.search_runs([experiment.experiment_id for experiment in own], max_results=1) if own else []
    return runs_page(newest[0].info.experiment_id) if newest else "/"


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and the processes it started, and wait until they are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                os.killpg(server.pid, number)
            except ProcessLookupError:
                return
            server.poll()
            time.sleep(0.1)


def _free(port: int) -> int:
    """`port` if nobody listens on it, else one that the system picks."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            taken: int = probe.getsockname()[1]
            return taken
    raise UsageError("no free port on 127.0.0.1.")


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UsageError(f"MLflow's server ended with code {server.returncode} before it answered; see above.")
        if silence_of(f"{url}/health", 2) is None:
            return
        time.sleep(0.2)
    raise UsageError(f"MLflow's server did not answer on {url} within {_START_TIMEOUT_S} s.")
