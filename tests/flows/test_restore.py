"""A back-up as the README says, the loss of everything, and a night after the restore."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import SMALL

ROOT = Path(__file__).parents[2]

NIGHT = """
import json, sys
from mfcore.config import PipelineConfig
from mfcore.stages.context import Context
from mfcore.stages.pipeline import run_pipeline

context = Context(PipelineConfig.model_validate(json.loads(sys.argv[1])))
result = run_pipeline(context)
model = context.registry.pull(context.registry.require_champion())
lists = model.recommend(model.user_ids[:5], 5)["item_id"].tolist()
print(json.dumps({**result.model_dump(mode="json"), "lists": lists}))
"""
CONFIG = {
    "dataset": {"name": SMALL},
    "tuning": {"rating": ["als"], "ranking": [], "n_trials": 2, "max_epochs": 2, "validation": "single"},
    "evaluation": {"max_baseline_items": 0},
}


@pytest.mark.slow
def test_a_restored_back_up_goes_on_where_it_was(tmp_path: Path) -> None:
    section = (ROOT / "deployment" / "README.md").read_text(encoding="utf-8").partition("## Back-up and restore")[2]
    back_up, restore = re.findall(r"```\n(.*?)```", section, re.S)[:2]
    names = ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")
    environment = {name: value for name, value in os.environ.items() if name not in names}

    def night() -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", NIGHT, json.dumps(CONFIG)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def bash(block: str) -> None:
        # No servers run here, so that there are none to stop.
        commands = "\n".join(line for line in block.splitlines() if not line.startswith("mfcore "))
        subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)

    night()
    before = night()  # the first one to have a champion to compare with
    bash(back_up)
    for folder in (".mfcore", "mlruns", "exports"):
        shutil.rmtree(tmp_path / folder)
    (tmp_path / "exports").mkdir()
    bash(restore)
    after = night()
    assert {one["status"] for one in after["stages"].values()} == {"reused"}
    for key in ("version", "metrics", "model_uri", "export_path", "lists"):
        assert after[key] == before[key], key
    latest = json.loads((tmp_path / "exports" / before["dataset"] / "latest" / "manifest.json").read_text())
    assert latest["model_version"] == before["version"]
