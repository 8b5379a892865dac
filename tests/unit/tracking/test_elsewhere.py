"""The registered model where this project is not installed: four packages and what they need, or MLflow's server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS, EASE
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from tests.flows.conftest import BIN, free_port, stop, wait_for
from tests.unit.tracking.conftest import settings_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

URI = "models:/mfcore-films@champion"
QUESTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"user_id": [5, "6", "zoe"]}, {"k": 4}),
    ({"user_id": [5, 5.0], "item_id": [3, "4"]}, {}),
    ({"user_id": [5], "exclude_items": [[1, 2]], "only_items": [[1, 2, 3, 4]]}, {"exclude_rated": False}),
    ({"user_id": ["zoe"], "ratings": [{"3": 5, "4": 1}]}, {"k": 3}),
    ({"user_id": ["zoe"], "item_id": [7], "ratings": [{"3": 5, "4": 1}]}, {}),
    ({"user_id": ["zoe"], "item_id": [7], "ratings": [{"3": 5, "4": 1}]}, {"answer": "reasons"}),
    ({"user_id": [None], "item_id": [3]}, {"answer": "similar", "k": 3}),
    ({"user_id": [5], "item_id": [3]}, {"answer": "reasons", "k": 2}),
]

ASK = """
import importlib.util, json, sys
import mlflow, pandas as pd
assert not any(importlib.util.find_spec(name) for name in ("numba", "mfcore", "optuna", "prefect"))
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
questions = json.load(open(sys.argv[3]))
tables = [model.predict(pd.DataFrame(asked), params=params).to_dict("list") for asked, params in questions]
json.dump(tables, open(sys.argv[4], "w"))
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A champion with two heads."""
    settings = settings_in(tmp_path_factory.mktemp("elsewhere"))
    ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    model = Model.of(ALS(n_factors=4).train(ratings), ratings, None, EASE(n_factors=8).train(ratings))
    registry = Registry(settings, "films")
    with Experiment(settings, "films").run("register") as run:
        uri = log_model(model, run, "als", {}, {})
    registry.add(uri, run, recipes={}, fingerprint="f", data="d", split="s", metrics={}, description="")
    registry.promote(1)
    return settings


@pytest.fixture(scope="module")
def answers(settings: Settings) -> list[dict[str, Any]]:
    """What the model answers here."""
    mlflow.set_tracking_uri(settings.tracking_uri)
    model = mlflow.pyfunc.load_model(URI)
    tables = [model.predict(pd.DataFrame(asked), params=params).to_dict("list") for asked, params in QUESTIONS]
    assert all(table["known_item"] for table in tables)
    return tables


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert list(found) == list(wanted)
    for name, column in wanted.items():
        is_float = all(isinstance(one, float) for one in column)
        assert found[name] == (pytest.approx(column, rel=1e-5, abs=1e-5) if is_float else column), name


def test_four_packages_are_enough_for_every_answer(
    settings: Settings, answers: list[dict[str, Any]], tmp_path: Path
) -> None:
    downloaded = Path(mlflow.artifacts.download_artifacts(URI, tracking_uri=settings.tracking_uri))
    requirements = (downloaded / "requirements.txt").read_text(encoding="utf-8").split()
    assert [line.partition("==")[0] for line in requirements] == ["mlflow", "numpy", "pandas", "scipy"]
    python = tmp_path / "bare" / "bin" / "python"
    for command in (["venv", "-q", "-p", sys.executable, tmp_path / "bare"], ["pip", "install", "-q", "-p", python]):
        more = requirements if command[0] == "pip" else []
        subprocess.run([BIN / "uv", *command, *more], check=True)
    (tmp_path / "questions.json").write_text(json.dumps(QUESTIONS), encoding="utf-8")
    arguments = [settings.tracking_uri, URI, tmp_path / "questions.json", tmp_path / "answers.json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, "-I", "-c", ASK, *arguments], check=True, cwd=tmp_path, env=environment)
    for found, wanted in zip(json.loads((tmp_path / "answers.json").read_text()), answers, strict=True):
        same(found, wanted)


@pytest.fixture(scope="module")
def client(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of `mlflow models serve`."""
    port, folder = free_port(), tmp_path_factory.mktemp("mlflow-serve")
    command = [BIN / "mlflow", "models", "serve", "-m", URI, "--env-manager", "local", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", server)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            stop(server)


def test_mlflow_serves_every_answer(client: httpx.Client, answers: list[dict[str, Any]]) -> None:
    for (asked, params), wanted in zip(QUESTIONS, answers, strict=True):
        split = {"columns": list(asked), "data": [list(row) for row in zip(*asked.values(), strict=True)]}
        answer = client.post("/invocations", json={"dataframe_split": split, "params": params})
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        same({name: [row[name] for row in rows] for name in wanted}, wanted)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        # A table in CSV has a type for each column, and ids here are of any: MLflow refuses it, and JSON does it all.
        ("user_id,item_id\n5,3\n", "text/csv", 400),
        ("", "text/csv", 400),
        ("{", "application/json", 400),
        ('{"dataframe_split": {"columns": ["nobody"], "data": [[5]]}}', "application/json", 400),
        ('{"dataframe_split": {"columns": ["user_id"], "data": [[5]]}, "params": {"k": 0}}', "application/json", 400),
        ("x", "application/x-www-form-urlencoded", 415),
    ],
)
def test_mlflow_refuses_what_makes_no_sense(client: httpx.Client, content: str, kind: str, status: int) -> None:
    answer = client.post("/invocations", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    right = {"dataframe_split": {"columns": ["user_id"], "data": [[5]]}}
    assert client.post("/invocations", json=right).status_code == 200
