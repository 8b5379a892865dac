"""The stages as Prefect flows, each deployable alone, and the pipeline that chains them."""

import os

# Read by Prefect when it is imported. Its log handler takes up the library's own messages, which
# are nobody's business outside a flow; a one-off run starts a temporary server, which on a cold
# machine needs more than 20 s.
for _name, _value in {
    "DO_NOT_TRACK": "true",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mfcore",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}.items():
    os.environ.setdefault(_name, _value)

# A company's proxy must not stand between a run and the server on its own machine.
for _name in ("NO_PROXY", "no_proxy"):
    _direct = [host for host in os.environ.get(_name, "").split(",") if host]
    os.environ[_name] = ",".join(dict.fromkeys([*_direct, "127.0.0.1", "localhost"]))
