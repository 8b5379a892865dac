"""What Prefect reads from the environment, so that it suits these flows."""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["ENVIRONMENT", "prepare"]

ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    # Well below the three minutes after which a silent run counts as crashed (flows/automations.py); by itself
    # Prefect sends one every three minutes, so that each longer run would be taken for dead.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mfcore",
    # The library's own messages are nobody's business outside a flow.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Of the temporary server: a cold machine needs more than the 20 s it has by itself.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Of every process that runs flows. `deployment/prefect.yaml` gives them to scheduled runs."""


def prepare() -> None:
    """Set them for this process and those it starts; what the environment says already stays.

    Prefect reads them when it is imported, so this is called where a program starts. A company's proxy must not
    stand between a run and the server on its own machine.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Prefect makes its folder as it is imported, but not those that it lies in. Who needs it says if it can't be made.
    with suppress(OSError, RuntimeError):
        Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser().mkdir(parents=True, exist_ok=True)
    for name in ("NO_PROXY", "no_proxy"):
        direct = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*direct, "127.0.0.1", "localhost"]))
