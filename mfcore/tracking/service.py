"""The champion over HTTP: `mfcore.serving` with this project's registry handed in."""

import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.connection import wait
from threading import Thread
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from mfcore.errors import UsageError
from mfcore.machine import collect_seldom
from mfcore.settings import Settings
from mfcore.storage.files import scratch_folder
from mfcore.tracking.registry import Registry

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["application", "listen", "serve"]

_DATASET = "MFCORE_SERVED_DATASET"
"""Tells the processes of a server, which share nothing else, whose champion to serve."""


def application() -> "FastAPI":
    """The application of one process, as uvicorn asks for it."""
    collect_seldom()
    from mfcore.serving.http import make_app
    from mfcore.serving.live import Live

    Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)
    return make_app(Live(Registry(Settings.read(), os.environ[_DATASET])))


def _end_with_parent() -> None:
    """Stop this process, as `kill` would, when the one that started it is gone; it may have been killed itself."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """A socket for `serve`.

    Raises:
        UsageError: nobody can listen there.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise UsageError(f"can't listen at {host}, port {port}: {reason}; give another --host or --port.") from error
    # Connections take it over. Those of a socket that uvicorn itself makes for several processes lack it, so that a
    # body would wait 40 ms until its head is known to have arrived (Kludex/uvicorn#3149).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(dataset: str, listening: socket.socket, workers: int) -> None:
    """Serve a data set's champion until SIGTERM or Ctrl-C, then answer what is under way and stop.

    Args:
        dataset: as in `mfcore-<dataset>`.
        listening: what `listen` gives.
        workers: processes; each has the model in its own memory.
    """
    import uvicorn

    # A process for each core: none of them needs threads of its own for a list.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    os.environ[_DATASET] = dataset
    # After it has stopped the server raises the signal again, which would end this process as if it had been killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with scratch_folder() as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        uvicorn.run(
            f"{__name__}:application",
            factory=True,
            fd=listening.fileno(),
            workers=workers,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=10,
        )
