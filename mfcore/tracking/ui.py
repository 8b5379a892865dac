"""MLflow's own pages on this project's store."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from urllib.error import URLError
from urllib.parse import urlparse

from mfcore.errors import UsageError
from mfcore.settings import Settings
from mfcore.tracking.runs import prepare_store

__all__ = ["serve"]

logger = logging.getLogger(__name__)

_START_TIMEOUT_S, _STOP_TIMEOUT_S = 120, 15


def serve(settings: Settings, port: int, announce: Callable[[str], None]) -> None:
    """Start MLflow's server on the tracking store and wait until it ends or is interrupted.

    `announce` gets the address once the pages answer. A store that is a server already has
    pages of its own: its address is announced and nothing is started.

    Raises:
        UsageError: the server ended before it answered.
    """
    if urlparse(settings.tracking_uri).scheme in ("http", "https"):
        announce(settings.tracking_uri)
        return
    prepare_store(settings.tracking_uri)
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
        announce(url)
        server.wait()
    except KeyboardInterrupt:
        logger.info("stopped")
    finally:
        _stop(server)


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
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise UsageError(f"MLflow's server did not answer on {url} within {_START_TIMEOUT_S} s.")
