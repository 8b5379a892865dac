"""The champion over HTTP: `mfcore.serving` with this project's registry handed in."""

import os
import signal
import sys
import tempfile
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from mfcore.settings import Settings
from mfcore.tracking.registry import Registry

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["application", "serve"]

_DATASET = "MFCORE_SERVED_DATASET"
"""Tells the processes of a server, which share nothing else, whose champion to serve."""


def application() -> "FastAPI":
    """The application of one process, as uvicorn asks for it."""
    from mfcore.serving.http import make_app
    from mfcore.serving.live import Live

    threadpool_limits(1)
    return make_app(Live(Registry(Settings.read(), os.environ[_DATASET])))


def serve(dataset: str, host: str, port: int, workers: int) -> None:
    """Serve a data set's champion until SIGTERM or Ctrl-C, then answer what is under way and stop.

    Args:
        dataset: as in `mfcore-<dataset>`.
        host: address to listen at.
        port: the same.
        workers: processes; each has the model in its own memory.
    """
    import uvicorn

    # A process for each core: none of them needs threads of its own for a list.
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    os.environ[_DATASET] = dataset
    # After it has stopped the server raises the signal again, which would end this process as if it had been killed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="mfcore-metrics-") as folder:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            f"{__name__}:application",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=10,
        )
