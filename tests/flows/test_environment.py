"""Who imports the flows keeps his environment; who runs them asks for the flows' settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.automations import SILENCE
from flows.environment import ENVIRONMENT, prepare

_IMPORT = """
import os
import threadpoolctl  # which sets a variable of its own
before = dict(os.environ)
import flows.export, flows.pipeline, flows.prune, flows.stage, flows.status, flows.servers.stack
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
"""


def test_importing_the_flows_changes_nothing_in_the_environment() -> None:
    mine = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    subprocess.run([sys.executable, "-c", _IMPORT], env=mine, check=True, timeout=120)


def test_a_living_run_is_never_silent_for_as_long_as_a_dead_one() -> None:
    """Two heartbeats may be lost."""
    assert 3 * int(ENVIRONMENT["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) <= SILENCE.total_seconds()


def test_what_the_environment_says_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_EXTRA_LOGGERS", "shop")
    monkeypatch.delenv("DO_NOT_TRACK")
    monkeypatch.setenv("no_proxy", "intranet,localhost")
    prepare()
    assert os.environ["PREFECT_LOGGING_EXTRA_LOGGERS"] == "shop"
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert os.environ["no_proxy"] == "intranet,localhost,127.0.0.1"


def test_scheduled_runs_get_what_concerns_them() -> None:
    tree = yaml.safe_load(Path("deployment/prefect.yaml").read_text())
    given = tree["definitions"]["work_pool"]["job_variables"]["env"]
    servers = {"PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"}
    assert {name: given.get(name) for name in ENVIRONMENT.keys() - servers} == {
        name: value for name, value in ENVIRONMENT.items() if name not in servers
    }
