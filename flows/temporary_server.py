"""`TemporaryServer`: Prefect's server for the length of one command, where no other is configured."""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
)

from flows.parentage import end_with_us
from mfcore.errors import SourceUnavailable, UsageError, first_line

__all__ = ["TemporaryServer", "is_lasting"]

_QUIET = {
    # Nobody reads the events of a run that has no server to look after it. Written into the server's SQLite
    # file while it answers, they now and then lock an answer out for a minute.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
_STOP_S = 5

_urls: set[str] = set()


def is_lasting() -> bool:
    """Whether there is a server that outlives the run, so that somebody may look at what it was told."""
    url = PREFECT_API_URL.value()
    return url is not None and url not in _urls


class TemporaryServer:
    """A server in a process of its own, which begins at once and ends with this process, however that ends.

    Attributes:
        url: of its API.
    """

    def __init__(self) -> None:
        """Start it, without waiting for it.

        Raises:
            UsageError: Prefect's folder, where its database lies, can't be written.
        """
        _require_folder(PREFECT_HOME.value())
        # The socket listens before the server does: nobody else gets the port, and who asks early waits.
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flows.temporary_api", str(listening.fileno())],
                env={**os.environ, **get_current_settings().to_environment_variables(exclude_unset=True), **_QUIET},
                pass_fds=[listening.fileno()],
                process_group=0,  # Ctrl-C is for the flow: without its server no flow comes to an orderly end
            )
        _urls.add(self.url)
        end_with_us(self._process.pid)
        # Not before that: at exit Prefect sends what it has not yet sent, and tries for a minute.
        atexit.register(self.stop)

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            SourceUnavailable: it does not, in the time that Prefect's settings give it.
        """
        limit = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{self.url}/health", timeout=limit).raise_for_status()
        except httpx.HTTPError as error:
            self.stop()
            raise SourceUnavailable(
                f"Prefect's temporary server does not start: {first_line(error)}.\n"
                "Try again, give it more time (PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, in s), "
                "or start a server (prefect server start) and set PREFECT_API_URL to its address."
            ) from error

    def stop(self) -> None:
        """End it; what has ended stays so."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_STOP_S)
        self._process.kill()
        self._process.wait()


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(
            f"Prefect cannot write to its folder {folder}: {first_line(error)}. "
            "Set PREFECT_HOME to one that can be written, or PREFECT_API_URL to a server's address."
        ) from error
