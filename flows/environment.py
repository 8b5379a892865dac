"""What Prefect reads from the environment, so that it suits these flows."""

import os

__all__ = ["PREFECT", "prepare"]

PREFECT = {
    "DO_NOT_TRACK": "true",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mfcore",
    # The library's own messages are nobody's business outside a flow.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Of the temporary server: a cold machine needs more than the 20 s it has by itself.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""Settings of every process that runs flows. `deployment/prefect.yaml` gives them to scheduled runs."""


def prepare() -> None:
    """Set Prefect up for this process and those it starts; what the environment says already stays.

    Prefect reads the environment when it is imported, so this is called before, where a program
    starts. A company's proxy must not stand between a run and the server on its own machine.
    """
    for name, value in PREFECT.items():
        os.environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        direct = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*direct, "127.0.0.1", "localhost"]))
