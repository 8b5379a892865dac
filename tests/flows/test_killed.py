"""A run killed in the middle of any stage, and started again, ends like one that was never disturbed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mfcore.stages.table import STAGES
from tests.flows.conftest import SMALL

# Loads everything once, then forks a process for each run. One function of a stage is
# replaced by one that kills the process, without a chance to clean up. The stages run as they do
# in a flow; Prefect itself would keep the place of a killed run for a minute.
RUNS = """
import importlib, json, os, signal, sys
from pathlib import Path

import great_expectations, matplotlib.backends.backend_agg, numba, optuna, scipy.stats
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.pipeline import run_pipeline

def kill_at(place, function, after):
    module = importlib.import_module(place)
    owner, _, name = function.rpartition(".")
    owner = getattr(module, owner) if owner else module
    real, calls = getattr(owner, name), 0

    def killing(*arguments, **named):
        nonlocal calls
        calls += 1
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)

    setattr(owner, name, killing)

def run(folder, *kill):
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        if kill:
            kill_at(*kill)
        print(run_pipeline(Context(config)).model_dump_json(), flush=True)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

specification = json.load(sys.stdin)
config = PipelineConfig.model_validate(specification["config"])
kills = specification["kills"]
codes = [run(Path("whole"))] + [run(Path("killed"), *kill) for kill in kills] + [run(Path("killed"))]
print(json.dumps(codes))
"""

CONFIG = {
    "dataset": {"name": SMALL},
    "tuning": {"rating": ["als", "pmf"], "ranking": ["als"], "n_trials": 3, "validation": "single"},
}

# A process that has run threads can be forked when they are of this kind, and none wait for work.
ALONE = {"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

KILLED_AT = [
    ("validate", "mfcore.data.ratings", "Ratings.save", 1),
    ("tune, in a trial", "mfcore.metrics.yardstick", "rmse", 30),
    ("evaluate, between two finalists", "mfcore.tracking.finalists", "log_model", 2),
    ("register, before the alias", "mfcore.tracking.registry", "Registry.promote", 1),
    ("export, before the pointer", "mfcore.stages.export", "point_latest", 1),
]
ALSO_KILLED_AT = [
    ("download", "mfcore.storage.artifacts", "write_manifest", 1),
    ("split", "mfcore.data.splitting", "Split.save", 1),
    ("tune, at the end", "mfcore.storage.artifacts", "write_manifest", 2),
    ("register, before the version", "mfcore.tracking.registry", "Registry.add", 1),
]


def tree(place: Path) -> dict[str, bytes]:
    """What must not depend on the kills, nor hold the time of day: every artifact's and export's data."""
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for top in (".mfcore/ratings", ".mfcore/splits", "exports")
        for path in sorted((place / top).rglob("*"))
        if path.is_file() and path.name != "manifest.json" and "data_docs" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [KILLED_AT, ALSO_KILLED_AT])
def test_killed_in_every_stage_and_started_again(
    killed_at: list[tuple[str, str, str, int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    done = subprocess.run(
        [sys.executable, "-c", RUNS],
        input=json.dumps({"config": CONFIG, "kills": [kill for _, *kill in killed_at]}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    first, *kills, last = json.loads(done.stdout)
    assert (first, last) == (0, 0), (tmp_path / "killed" / "err").read_text()
    for (stage, *_), code in zip(killed_at, kills, strict=True):
        assert code == -signal.SIGKILL, f"{stage}: ended with {code}"

    expected, found = (json.loads((tmp_path / name / "out").read_text()) for name in ("whole", "killed"))
    for key in ("champion", "version", "algorithm", "metrics", "model_uri"):
        assert found[key] == expected[key], key
    assert found["stages"]["tune"]["status"] == "reused"
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'killed' / 'mlruns' / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    trials = [one.info.run_name for one in runs if one.data.tags["stage"] == "tune" and one.info.status == "FINISHED"]
    studies = ("ranking-als", "rating-als", "rating-pmf")
    assert sorted(trials) == [f"{study}-00{number}" for study in studies for number in range(3)]
    assert {one.info.status for one in runs} == {"FINISHED", "KILLED"}


def campaign(place: Path, lives: int, crowds: int, disks: int, *around: str) -> dict[str, Any]:
    """What came of a campaign (`tests/flows/campaign.py`)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MFCORE_", "MLFLOW_"))}
    command = [*around, sys.executable, "-m", "tests.flows.campaign", str(place), *map(str, (lives, crowds, disks))]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env={**kept, **ALONE}, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_kills_at_random_moments(tmp_path: Path) -> None:
    found = campaign(tmp_path / "campaign", 16, 4, 0)
    assert found["wrong"] == []
    assert sum(found["kills"].values()) >= 200
    assert min(found["kills"].get(stage.name, 0) for stage in STAGES) >= 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_disk_that_is_full_at_any_moment(tmp_path: Path) -> None:
    around = ("unshare", "--map-root-user", "--mount")
    try:
        subprocess.run([*around, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk of one's own to fill: {error}")
    found = campaign(tmp_path / "campaign", 0, 0, 12, *around)
    assert found["wrong"] == []
    assert found["kills"]["disk"] >= 10
