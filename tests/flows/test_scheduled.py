"""The nightly deployment for real: server, process pool, worker, and a run that the scheduler starts."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.automations import SILENCE
from tests.flows.conftest import BIN, SMALL, stop

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 150


def test_the_deployments_are_a_nightly_pipeline_and_an_export() -> None:
    tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
    deployments = {one["name"]: one for one in tree["deployments"]}
    assert deployments["nightly"]["entrypoint"] == "flows/pipeline.py:pipeline"
    assert deployments["nightly"]["schedules"][0]["cron"] == "0 3 * * *"
    assert deployments["export"]["entrypoint"] == "flows/export.py:export"
    (trigger,) = deployments["export"]["triggers"]
    assert (
        trigger["match"]["prefect.resource.id"]
        == f"mfcore.dataset.{deployments['export']['parameters']['config']['dataset']['name']}"
    )
    assert deployments["morning"]["entrypoint"] == "flows/watch.py:watch"
    assert deployments["weekly"]["entrypoint"] == "flows/prune.py:prune"
    # A limit of the deployment's own would end the run when Prefect's server restarts (flows/turns.py).
    assert not any("concurrency_limit" in one for one in deployments.values())
    frequency = int(tree["definitions"]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert frequency * 4 <= SILENCE.total_seconds()


def completed(server: dict[str, str]) -> list[dict[str, Any]]:
    """The runs of the pipeline that the scheduler started and the server knows as completed."""
    wanted = {"flows": {"name": {"any_": ["pipeline"]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    request = urllib.request.Request(
        f"{server['PREFECT_API_URL']}/flow_runs/filter",
        data=json.dumps(wanted).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return [run for run in json.load(answer) if run["auto_scheduled"]]


@pytest.mark.slow
def test_a_scheduled_run_to_completion(tmp_path: Path, prefect_server: dict[str, str]) -> None:
    tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
    tree["deployments"] = [one for one in tree["deployments"] if one["name"] in ("nightly", "export")]
    for deployment in tree["deployments"]:
        small = {"dataset": {"name": SMALL}, "tuning": {"n_trials": 2, "algorithms": ["als"]}}
        deployment["parameters"] = {"config": small}
    tree["deployments"][0]["schedules"] = [{"interval": 10, "active": True}]
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump(tree))
    environment = {
        **os.environ,
        **prefect_server,
        "MFCORE_HOME": str(tmp_path / "home"),
        "MFCORE_EXPORTS": str(tmp_path / "exports"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}",
    }

    def prefect(*arguments: str) -> str:
        done = subprocess.run(
            [str(BIN / "prefect"), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    prefect("work-pool", "create", "mfcore", "--type", "process")
    prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(file))
    command = [str(BIN / "prefect"), "worker", "start", "--pool", "mfcore", "--limit", "1"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while time.monotonic() < deadline and not completed(prefect_server):
                time.sleep(0.5)
            runs = completed(prefect_server)
        finally:
            stop(worker)
    assert runs, log.read_text()[-4000:]
    latest = tmp_path / "exports" / "synthetic-120x60-3000" / "latest" / "manifest.json"
    assert json.loads(latest.read_text())["model_version"] == 1


@pytest.mark.parametrize("package", ["fastapi", "sqlalchemy"])
def test_the_neighbors_that_break_prefect_stay_out(package: str) -> None:
    """Prefect 3.8 installs with newer ones and then schedules nothing, or does not start."""
    from importlib.metadata import version

    from packaging.version import Version

    bound = {"fastapi": "0.151", "sqlalchemy": "2.1"}[package]
    assert Version(version(package)) < Version(bound)
