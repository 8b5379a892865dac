"""Servers that are killed in the middle of a run, and started again: nothing half done stays, the next run is whole."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.servers.stack import Stack
from mfcore.settings import Settings
from mfcore.storage.artifacts import damage
from tests.flows.conftest import BIN, SMALL, free_port

ROOT = Path(__file__).parents[2]
OURS = ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL")
VICTIMS = ("MLflow", "Prefect", "PostgreSQL")
ROUNDS = 2
SETTINGS = ["--trials", "3", "--algorithms", "als", "--set", "tuning.validation=single"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),
]


class Place:
    """A project's root with servers of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "flows").symlink_to(ROOT / "flows")
        (folder / "deployment").mkdir()
        tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
        tree["deployments"] = [one for one in tree["deployments"] if one["name"] == "export"]  # has no schedule
        (folder / "deployment" / "prefect.yaml").write_text(yaml.safe_dump(tree))
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environment = {**kept, "HOME": str(folder)}
        self._ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(BIN / "mfcore"), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self) -> Stack:
        process = self.start("up", *self._ports)
        _, told = process.communicate()
        assert process.returncode == 0, told
        stack = Stack.read(self.folder / ".mfcore")
        assert stack is not None
        self.environment |= stack.environment
        return stack

    def run(self, seed: int) -> "subprocess.Popen[str]":
        return self.start("run", "--dataset", SMALL, "--json", *SETTINGS, "--set", f"split.seed={seed}")

    def wrong(self, stack: Stack) -> list[str]:
        """What is not whole, or said to be under way."""
        exports = list((self.folder / "exports").glob("*/[0-9]*"))
        wrong = [problem for path in exports if (problem := damage(path)) is not None]
        wrong += [str(path) for path in exports if not (path.parent / "latest" / "manifest.json").is_file()]
        wrong += [str(path) for top in (".mfcore", "exports") for path in (self.folder / top).rglob(".*.mfcore.tmp")]
        client = MlflowClient(stack.mlflow_url)
        experiments = [one.experiment_id for one in client.search_experiments()]
        running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
        return wrong + [f"{one.info.run_name} is RUNNING in MLflow" for one in running]


def under_way(stack: Stack) -> list[str]:
    """Runs that Prefect takes to be running."""
    with temporary_settings({PREFECT_API_URL: stack.prefect_url}), get_client(sync_client=True) as client:
        running = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
        return [one.name for one in client.read_flow_runs(flow_run_filter=running)]


def test_servers_killed_in_the_middle_of_runs(tmp_path: Path) -> None:
    place, rng, seed = Place(tmp_path), np.random.default_rng(0), 0
    outcomes: list[tuple[str, int]] = []
    try:
        stack = place.up()
        began = time.monotonic()
        _, told = (first := place.run(seed)).communicate()
        assert first.returncode == 0, told
        usual = time.monotonic() - began
        for name in VICTIMS * ROUNDS:
            seed += 1
            process = place.run(seed)
            time.sleep(float(rng.uniform(0.2, 0.9)) * usual)
            victim = stack.process(name)
            assert victim is not None
            os.kill(victim.pid, signal.SIGKILL)
            time.sleep(1)
            stack = place.up()
            _, told = process.communicate()
            # It came through, or said what it could not reach; nothing else.
            assert process.returncode in (0, 4), f"{name}: {told}"
            outcomes.append((name, process.returncode))
            out, told = (again := place.run(seed)).communicate()
            assert again.returncode == 0, f"after {name}: {told}"
            result: dict[str, Any] = json.loads(out)
            assert place.wrong(stack) == [], f"after {name}"
            manifest = Path(result["export_path"]).parent / "latest" / "manifest.json"
            assert json.loads(manifest.read_text())["model_version"] == result["version"]
        print(outcomes)
        deadline = time.monotonic() + 400  # three minutes of silence, and some for the server to notice
        while (left := under_way(stack)) and time.monotonic() < deadline:
            time.sleep(5)
        assert left == []
    finally:
        place.start("down").communicate()
    assert Settings.read({"MFCORE_HOME": str(tmp_path / ".mfcore")}).home.is_dir()
