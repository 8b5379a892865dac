"""Servers that are killed in the middle of a run, and started again: nothing half done stays, the next run is whole."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.servers.stack import Stack
from mfcore.settings import Settings
from mfcore.storage.artifacts import damage
from mfcore.tracking.registry import Registry
from tests.flows.conftest import SMALL
from tests.flows.project import Project

VICTIMS = ("MLflow", "Prefect", "PostgreSQL")
ROUNDS = 2
SETTINGS = ["--dataset", SMALL, "--trials", "3", "--algorithms", "als", "--set", "tuning.validation=single"]
NAME = "synthetic-120x60-3000"
TRIALS = 30
"""Of a study that is long enough to kill a server in it."""
SAID_BEFORE = {"tune": "splits", "register": "evaluations"}
"""What a run says of the stage before."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),
]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, {"export": {"config": {"dataset": {"name": SMALL}}}})
    try:
        yield project
    finally:
        project.start("down").communicate()


def flow_runs(stack: Stack, *states: str) -> list[FlowRun]:
    """The runs in these states, as Prefect has them."""
    with temporary_settings({PREFECT_API_URL: stack.prefect_url}), get_client(sync_client=True) as client:
        wanted = FlowRunFilter.model_validate({"state": {"type": {"any_": states}}})
        return client.read_flow_runs(flow_run_filter=wanted)


def kill(project: Project, stack: Stack, name: str) -> Stack:
    """End a server at once, and start it again a second later."""
    victim = stack.process(name)
    assert victim is not None
    os.kill(victim.pid, signal.SIGKILL)
    time.sleep(1)
    return project.up()


def reached(process: "subprocess.Popen[str]", stage: str) -> str:
    """What a run says until it comes to a stage."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if f"  {SAID_BEFORE[stage]}: " in line:
            return told
    pytest.fail(f"it did not come to {stage}: {told}")


def ended(process: "subprocess.Popen[str]", when: str, told: str = "") -> int:
    """The exit code of a run that came through, or said in one line what it could not reach; nothing else."""
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        told += process.stderr.read()
        process.stdout.read()
    process.wait()
    assert process.returncode in (0, 4), f"{when}: {told}"
    messages = [line for line in told.splitlines() if line.startswith("mfcore: ")]
    assert len(messages) == (process.returncode == 4), f"{when}: {told}"
    assert "Traceback" not in told, f"{when}: {told}"
    return process.returncode


def wrong(project: Project, stack: Stack) -> list[str]:
    """What is not whole, or said to be under way."""
    exports = list((project.folder / "exports").glob("*/[0-9]*"))
    wrong = [problem for path in exports if (problem := damage(path)) is not None]
    wrong += [str(path) for path in exports if not (path.parent / "latest" / "manifest.json").is_file()]
    wrong += [str(path) for top in (".mfcore", "exports") for path in (project.folder / top).rglob(".*.mfcore.tmp")]
    client = MlflowClient(stack.mlflow_url)
    experiments = [one.experiment_id for one in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    registry = Registry(settings(project, stack), NAME)
    for version in registry.versions():
        if version.aliases:
            registry.pull(version)
    return wrong + [f"{one.info.run_name} is RUNNING in MLflow" for one in running]


def settings(project: Project, stack: Stack) -> Settings:
    folder = project.folder
    places = {"MFCORE_HOME": str(folder / ".mfcore"), "MFCORE_EXPORTS": str(folder / "exports")}
    return Settings.read({**places, "MLFLOW_TRACKING_URI": stack.mlflow_url})


def goes_on(project: Project, stack: Stack, again: list[str], when: str) -> None:
    """The same run, started again, is whole, and so is all that was left."""
    out, told = (process := project.start(*again)).communicate()
    assert process.returncode == 0, f"after {when}: {told}"
    result: dict[str, Any] = json.loads(out)
    assert wrong(project, stack) == [], f"after {when}"
    manifest = Path(result["export_path"]).parent / "latest" / "manifest.json"
    assert json.loads(manifest.read_text())["model_version"] == result["version"]


def nothing_is_left_running(stack: Stack) -> None:
    deadline = time.monotonic() + 400  # three minutes of silence, and some for the server to notice
    while (left := flow_runs(stack, "RUNNING", "PENDING")) and time.monotonic() < deadline:
        time.sleep(5)
    assert [run.name for run in left] == []


def test_servers_killed_in_the_middle_of_runs(project: Project) -> None:
    rng, outcomes = np.random.default_rng(0), []
    stack = project.up()
    began = time.monotonic()
    project.run("run", "--json", *SETTINGS)
    usual = time.monotonic() - began
    for seed, name in enumerate(VICTIMS * ROUNDS, start=1):
        command = ["run", "--json", *SETTINGS, "--set", f"split.seed={seed}"]
        process = project.start(*command)
        time.sleep(float(rng.uniform(0.2, 0.9)) * usual)
        stack = kill(project, stack, name)
        outcomes.append((name, ended(process, name)))
        goes_on(project, stack, command, name)
    print(outcomes)
    nothing_is_left_running(stack)


def test_servers_killed_in_the_stages_that_write_to_them(project: Project) -> None:
    """MLflow in tuning and in registration; PostgreSQL in tuning, with trials in it."""
    stack, outcomes = project.up(), []
    shared = f"tuning.storage={stack.optuna_url}"
    assert stack.optuna_url is not None
    cases = [("MLflow", "tune", []), ("MLflow", "register", []), ("PostgreSQL", "tune", ["--set", shared])]
    for seed, (name, stage, own) in enumerate(cases):
        command = ["run", "--json", *SETTINGS, "--trials", str(TRIALS), "--set", f"split.seed={seed}", *own]
        told = reached(process := project.start(*command), stage)
        if stage == "tune":
            time.sleep(1)  # in the midst of it
        stack = kill(project, stack, name)
        outcomes.append((name, stage, ended(process, f"{name} in {stage}", told)))
        goes_on(project, stack, command, f"{name} in {stage}")
    print(outcomes)
    nothing_is_left_running(stack)
