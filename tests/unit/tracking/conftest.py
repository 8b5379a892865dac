"""A store of its own for each module, and trials to log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.settings import Settings, sqlite_uri
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Trial


def settings_in(folder: Path) -> Settings:
    uri = sqlite_uri(folder / "mlruns" / "mlflow.db")
    return Settings.read({"MFCORE_HOME": str(folder), "MLFLOW_TRACKING_URI": uri})


def trial(number: int, algorithm: str = "als", outcome: str = "complete", n_epochs: int = 5) -> Trial:
    curve = [1.0 - 0.01 * epoch + 0.001 * number for epoch in range(n_epochs)]
    return Trial.model_validate(
        {
            "objective": "rating",
            "metric": "rmse",
            "algorithm": algorithm,
            "number": number,
            "params": {"n_factors": 4 + number, "reg_user": 0.01 * 3**number, "priors": "fixed", "seed": 0},
            "curve": curve,
            "value": None if outcome == "diverged" else min(curve),
            "outcome": outcome,
            "seconds": 0.5,
        }
    )


def log(settings: Settings, model: Model, fingerprint: str = "f") -> Registry:
    """Log and register a model, and make it the champion."""
    experiment, registry = Experiment(settings, "films"), Registry(settings, "films")
    recipe = Recipe(algorithm="als", params={"n_factors": 4})
    with experiment.run("register") as run:
        uri = log_model(model, run, "als", {"stage": "register"}, recipe.settings)
    version = registry.add(
        uri,
        run,
        recipes={Objective.RATING: recipe},
        fingerprint=fingerprint,
        data="d",
        split="s",
        metrics={"test_rmse": 0.9},
        description="made",
    )
    registry.promote(version.version, "first")
    return registry


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def experiment(settings: Settings) -> Iterator[Experiment]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        yield Experiment(settings, "synthetic")


@pytest.fixture(scope="module")
def client(experiment: Experiment, settings: Settings) -> MlflowClient:
    """MLflow's own client, as somebody who reads the store."""
    return MlflowClient(settings.tracking_uri)


@pytest.fixture(scope="module")
def model() -> Model:
    frame = synthesize(40, 30, 600).frame
    ratings = Ratings.from_frame(frame, Scale(1, 5, 1))
    return Model.of(Recipe(algorithm="als", params={"n_factors": 4}).build().train(ratings), ratings, None)
