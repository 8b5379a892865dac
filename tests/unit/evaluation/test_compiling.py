"""Kernels are compiled ahead, once, and a run goes on where that fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mfcore.evaluation import compiling as module
from mfcore.evaluation.compiling import compiling

TRAIN = """
from mfcore.data.ratings import Ratings
from mfcore.data.synthetic import synthesize
from mfcore.models import Recipe
synthetic = synthesize(300, 80, 5000)
ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
for algorithm in ("als", "sgd", "pmf", "knn"):
    Recipe(algorithm=algorithm).build().model_copy(update={"n_epochs": 2}).train(ratings)
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def marks(cache: Path) -> list[Path]:
    return list(cache.glob("*.compiled"))


@pytest.mark.slow
def test_trainers_find_their_kernels_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with compiling() as finish:
        finish()
    assert len(marks(cache)) == 1
    environment = {**os.environ, "NUMBA_DEBUG_CACHE": "1"}
    told = subprocess.run([sys.executable, "-c", TRAIN], env=environment, capture_output=True, text=True, check=True)
    assert "data loaded" in told.stdout
    assert re.findall(r"data saved to '.*/(.*)-\d+\.py", told.stdout) == []

    monkeypatch.setattr(module, "Worker", None)  # nothing is started a second time
    with compiling() as finish:
        finish()


def test_a_compiler_that_fails_leaves_it_to_the_trainers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "__name__", "mfcore.nowhere")
    with compiling() as finish:
        finish()
    assert not marks(cache)


def test_nothing_is_compiled_ahead_where_numba_keeps_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere/cache")
    monkeypatch.setattr(module, "Worker", None)
    with compiling() as finish:
        finish()
