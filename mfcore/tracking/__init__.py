"""Runs and the model registry in MLflow: the only place that knows MLflow."""

import logging
import os
from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.tracking.bundle import load_bundle, save_bundle
    from mfcore.tracking.registry import Registered, Registry
    from mfcore.tracking.runs import Experiment
    from mfcore.tracking.store import prepare_store

__all__ = ["Experiment", "Registered", "Registry", "configure", "load_bundle", "prepare_store", "save_bundle"]

__getattr__, __dir__ = face(
    __name__,
    {
        "bundle": ("load_bundle", "save_bundle"),
        "registry": ("Registered", "Registry"),
        "runs": ("Experiment",),
        "store": ("prepare_store",),
    },
)

_READ_BY_MLFLOW = {
    # No pickle is ever loaded, nothing is reported home, no bars stand between our lines.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Where there is a server it prints the address of each run, in between our one JSON document.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that does not answer is an error within 30 s: two tries of 12 s and a pause.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "12",
    "PGCONNECT_TIMEOUT": "10",
}


def configure() -> None:
    """Set MLflow up for this process and those it starts; what the environment says already stays.

    Called wherever a tracking store is opened. MLflow reads the environment alone, so this is
    the one place that changes it; importing `mfcore.tracking` changes nothing.
    """
    for name, value in _READ_BY_MLFLOW.items():
        os.environ.setdefault(name, value)
    # It logs a database's error with its traceback before it raises it; ours is one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
