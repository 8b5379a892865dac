"""A run killed in the middle of any stage, and started again, ends like one that was never disturbed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.conftest import SMALL

# Loads everything once, then forks a process for each run. One function of a stage is
# replaced by one that kills the process, without a chance to clean up.
RUNS = """
import importlib, json, os, signal, sys
from pathlib import Path

import flows.pipeline, mfcore.cli
import great_expectations, matplotlib.backends.backend_agg, numba, optuna, scipy.stats
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

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
        sys.argv = ["mfcore", *sys.argv[1:]]
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # a second a flow
            mfcore.cli.main()
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

specification = json.load(sys.stdin)
codes = [run(Path("whole"))] + [run(Path("killed"), *kill) for kill in specification] + [run(Path("killed"))]
print(json.dumps(codes))
"""

KILLED_AT = [
    ("validate", "mfcore.data.ratings", "Ratings.save", 1),
    ("tune, in a trial", "mfcore.tuning.objective", "rmse", 30),
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


@pytest.mark.parametrize("killed_at", [KILLED_AT, pytest.param(ALSO_KILLED_AT, marks=pytest.mark.slow)])
def test_killed_in_every_stage_and_started_again(
    killed_at: list[tuple[str, str, str, int]],
    tmp_path: Path,
    prefect_server: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    command = [
        sys.executable,
        "-c",
        RUNS,
        "run",
        "--dataset",
        SMALL,
        "--algorithms",
        "als,pmf",
        "--trials",
        "3",
        "--json",
    ]
    done = subprocess.run(
        command,
        input=json.dumps([kill for _, *kill in killed_at]),
        cwd=tmp_path,
        env={**os.environ, **prefect_server},
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
    assert sorted(trials) == [f"{name}-00{number}" for name in ("als", "pmf") for number in range(3)]
    assert {one.info.status for one in runs} == {"FINISHED", "KILLED"}
