"""A store of its own for each module, and trials to log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mfcore.settings import Settings
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Trial


def settings_in(folder: Path) -> Settings:
    (folder / "mlruns").mkdir(exist_ok=True)
    uri = f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"
    return Settings.read({"MFCORE_HOME": str(folder), "MLFLOW_TRACKING_URI": uri})


def trial(number: int, algorithm: str = "als", outcome: str = "complete", n_epochs: int = 5) -> Trial:
    curve = [1.0 - 0.01 * epoch + 0.001 * number for epoch in range(n_epochs)]
    return Trial.model_validate(
        {
            "algorithm": algorithm,
            "number": number,
            "params": {"n_factors": 4 + number, "reg_user": 0.01 * 3**number, "priors": "fixed", "seed": 0},
            "curve": curve,
            "validation_rmse": None if outcome == "diverged" else min(curve),
            "outcome": outcome,
            "seconds": 0.5,
        }
    )


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield Experiment(settings_in(tmp_path_factory.mktemp("store")), "synthetic")
