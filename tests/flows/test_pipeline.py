"""The whole chain on synthetic ratings, through the command, with a real Prefect server and a real MLflow store."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore.storage.artifacts import is_whole
from mfcore.storage.files import sha256_of
from tests.flows.conftest import SMALL, Mfcore, ran

BUDGET = (
    *("--trials", 2, "--set", "tuning.validation=single", "--set", "tuning.ranking=als,ease"),
    *("--set", "report.enabled=true"),
)
STUDIES = ("rating-als", "rating-sgd", "rating-pmf", "ranking-als", "ranking-ease")
STAGES = ["download", "validate", "split", "tune", "evaluate", "register", "export", "report"]
NAME = "synthetic-120x60-3000"


@pytest.fixture(scope="module")
def first(mfcore: Mfcore) -> dict[str, Any]:
    return ran(mfcore, "--dataset", SMALL, *BUDGET)


def client() -> Any:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{Path('mlruns/mlflow.db').absolute()}")
    return mlflow.MlflowClient()


def runs(**tags: str) -> list[Any]:
    experiment = client().get_experiment_by_name(f"mfcore/{NAME}")
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    return list(client().search_runs([experiment.experiment_id], wanted))


def test_the_result_names_champion_metrics_and_export(first: dict[str, Any]) -> None:
    assert first["champion"] == f"mfcore-{NAME}"
    assert first["version"] == 1
    assert set(first["heads"]) == {"rating", "ranking"}
    for head in first["heads"].values():
        assert head["version"] == 1
        assert {"test_rmse", "test_ndcg_at_10", "test_coverage_at_10"} <= set(head["metrics"])
    assert first["algorithm"] == first["heads"]["rating"]["algorithm"]
    assert first["metrics"]["test_rmse"] == first["heads"]["rating"]["metrics"]["test_rmse"]
    assert first["metrics"]["test_ndcg_at_10"] == first["heads"]["ranking"]["metrics"]["test_ndcg_at_10"]
    assert 0.1 < first["metrics"]["test_rmse"] < 1.5
    assert {"test_mae", "test_ndcg_at_10", "test_recall_at_10"} <= set(first["metrics"])
    assert Path(first["export_path"]).is_dir()
    assert Path(first["report"]) == Path("exports", NAME, "report", "index.html").absolute()
    assert list(first["stages"]) == STAGES
    assert {stage["status"] for stage in first["stages"].values()} == {"made"}


def test_each_trial_is_a_run_with_its_curve_under_the_same_names(first: dict[str, Any]) -> None:
    trials = runs(stage="tune")
    assert sorted(run.info.run_name for run in trials) == sorted(
        f"{study}-{number:03d}" for study in STUDIES for number in range(2)
    )
    shared = {"objective", "algorithm", "n_factors", "n_epochs", "seed"}
    for run in trials:
        assert run.data.tags["mlflow.parentRunId"] == first["run_id"]
        assert run.info.status == "FINISHED"
        assert shared <= set(run.data.params)
        metric, best = {"rating": ("rmse", min), "ranking": ("ndcg_at_10", max)}[run.data.params["objective"]]
        curve = client().get_metric_history(run.info.run_id, f"validation_{metric}_by_epoch")
        assert [point.step for point in curve] == list(range(1, len(curve) + 1))
        assert best(point.value for point in curve) == run.data.metrics[f"validation_{metric}"]


def test_finalists_and_baselines_are_compared_on_the_same_test_ratings(first: dict[str, Any]) -> None:
    compared = {run.info.run_name: run for run in runs(stage="evaluate")}
    assert set(compared) == {
        *(f"finalist-{name}" for name in STUDIES),
        "blend-rating-blend",
        "blend-ranking-blend",
        *(f"baseline-{name}" for name in ("global_mean", "bias", "most_popular", "item_knn", "ease")),
    }
    for name, run in compared.items():
        of_ratings = {"test_rmse", "test_mae"}
        of_lists = {"test_ndcg_at_10", "test_recall_at_10", "test_coverage_at_10", "test_popularity_lift_at_10"}
        # The mean has no opinion of which item is better.
        shown = of_ratings if name == "baseline-global_mean" else of_ratings | of_lists
        assert {one for one in run.data.metrics if one.startswith("test_")} == shown
        every = json.loads(Path(client().download_artifacts(run.info.run_id, "evaluation.json")).read_text())
        assert {"r2", "clipped", "recall_at_20", "gini_at_10"} <= {row[0] for row in every["data"]}
        if name.startswith("finalist"):
            files = [file.path for file in client().list_artifacts(run.info.run_id, "figures")]
            drawn = ["calibration", "errors_by_activity", "errors_by_rating", "learning_curve", "popularity"]
            if "rating-" not in name:
                drawn = ["popularity"]  # what makes lists predicts nothing
            assert files == [f"figures/{one}.png" for one in drawn]
            assert {one.dataset.name for one in run.inputs.dataset_inputs} == {
                f"{NAME} train and validation",
                f"{NAME} test",
            }
    table = json.loads(Path(client().download_artifacts(first["run_id"], "comparison.json")).read_text())
    assert len(table["data"]) == 12
    assert "figures/comparison.png" in [file.path for file in client().list_artifacts(first["run_id"], "figures")]


@pytest.mark.slow
def test_the_evaluation_is_kept_whole_as_json_and_tidy_frames(
    first: dict[str, Any], mfcore: Mfcore, place: Path
) -> None:
    document = mfcore("evaluate", "--dataset", SMALL, *BUDGET[2:], "--set", "tuning.n_trials=2", "--json").document
    folder, found = Path(document["path"]), document["found"]
    assert json.loads((folder / "evaluation.json").read_text()) == found
    measures, compared, curves = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("measures", "comparisons", "learning_curves")
    )
    assert list(measures.columns) == ["model", "metric", "slice", "value", "low", "high", "n", "reason"]
    assert len(measures) == sum(len(score["measures"]) for score in found["scores"])
    assert measures.loc[measures["value"].isna(), "reason"].notna().all()
    assert set(measures["slice"]) == set(found["slices"])
    assert len(compared) == len(found["comparisons"])
    assert {"model", "other", "metric", "difference", "low", "high", "p_value", "tie"} <= set(compared.columns)
    assert sorted(curves["model"].unique()) == ["rating-als", "rating-pmf", "rating-sgd"]
    for score in found["scores"]:
        name, tuned = score["candidate"]["name"], score["candidate"]["validation"].get("validation_rmse")
        if tuned is not None and score["candidate"]["role"] == "finalist":
            chosen = score["candidate"]["recipe"]["params"]["n_epochs"]
            curve = curves[curves["model"] == name].set_index("epoch")["validation_rmse"]
            assert curve[chosen] == tuned, "the curve is of the fit that tuning chose"


def test_the_winner_beats_what_knows_nothing_of_taste(first: dict[str, Any]) -> None:
    baselines = {run.info.run_name: run.data.metrics["test_rmse"] for run in runs(role="baseline")}
    know_nothing = ("global_mean", "bias", "most_popular")
    assert first["metrics"]["test_rmse"] < min(baselines[f"baseline-{name}"] for name in know_nothing)


def test_the_pipelines_run_tells_and_shows_what_was_found(first: dict[str, Any]) -> None:
    run = client().get_run(first["run_id"])
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("Chosen:\n\n- rating: ")
    assert "\n- ranking: " in note
    assert f"[mfcore-{NAME} version 1](#/models/mfcore-{NAME}/versions/1)" in note
    assert first["export_path"] in note
    figures = {Path(file.path).stem for file in client().list_artifacts(first["run_id"], "figures")}
    drawn = ("optimization_history", "parallel_coordinates", "learning_curves")
    assert {f"{objective}_{name}" for objective in ("rating", "ranking") for name in drawn} <= figures
    (made,) = run.outputs.model_outputs
    assert client().get_model_version(f"mfcore-{NAME}", "1").source.endswith(made.model_id)


def test_the_pipelines_run_holds_config_data_and_checks(first: dict[str, Any]) -> None:
    run = client().get_run(first["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["tuning.n_trials"] == "2"
    assert [one.dataset.name for one in run.inputs.dataset_inputs] == [NAME]
    checks = json.loads(Path(client().download_artifacts(first["run_id"], "checks.json")).read_text())["checks"]
    assert all(check["success"] for check in checks)


def test_prefect_shows_checks_comparison_and_export(first: dict[str, Any]) -> None:
    from prefect.artifacts import Artifact

    for kind in ("checks", "comparison", "export"):
        assert Artifact.get(f"{kind}-{NAME}"), kind


def test_the_export_is_what_the_champion_says(first: dict[str, Any], place: Path) -> None:
    folder = Path(first["export_path"])
    assert folder == place / "exports" / NAME / "1"
    assert (folder.parent / "latest").resolve() == folder
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["model_uri"] == f"models:/mfcore-{NAME}/1"
    assert manifest["model_version"] == 1
    assert client().get_run(manifest["run_id"]).data.tags["trained_on"] == "all"
    assert manifest["data_fingerprint"] == client().get_run(first["run_id"]).data.tags["data"]
    tables = {name: pd.read_parquet(folder / name) for name in manifest["files"]}
    assert {name: len(table) for name, table in tables.items()} == manifest["rows"]
    for name, entry in manifest["files"].items():
        assert sha256_of(folder / name) == entry["sha256"]

    lists, similar = tables["recommendations.parquet"], tables["similar_items.parquet"]
    reasons = ["because_1", "because_title_1", "because_2", "because_title_2"]
    columns = ["user_id", "rank", "item_id", "score", "predicted_rating", "title", "known_item", *reasons]
    assert list(lists.columns) == [*columns, "model_version"]
    assert list(similar.columns) == [
        "item_id",
        "rank",
        "other_item_id",
        "cosine",
        "title",
        "n_ratings",
        "model_version",
    ]
    assert set(lists["user_id"]) == set(tables["user_factors.parquet"]["user_id"])

    def scores(prefix: str, user: int) -> Any:
        users, items = (tables[f"{prefix}{side}_factors.parquet"].set_index(f"{side}_id") for side in ("user", "item"))
        own, mean = users.loc[user], manifest["model"]["ranking" if prefix else "rating"]["global_mean"]
        return mean + own["bias"] + items["bias"] + np.stack(items["factors"]) @ own["factors"]

    user = tables["user_factors.parquet"]["user_id"].iloc[7]
    by, on = scores("ranking_", user), manifest["scale"]
    listed = lists[lists["user_id"] == user]
    np.testing.assert_allclose(listed["score"], by[listed["item_id"]], rtol=1e-5)
    predicted = scores("", user)[listed["item_id"]].clip(on["min"], on["max"])
    np.testing.assert_allclose(listed["predicted_rating"], predicted, rtol=1e-5)
    assert listed["rank"].tolist() == list(range(1, len(listed) + 1))
    raw = next((place / ".mfcore" / "raw").glob(f"{NAME}-*/*.parquet"))
    ratings = pd.read_parquet(raw)
    seen = set(ratings.loc[ratings["user_id"] == user, "item_id"])
    assert not seen & set(listed["item_id"])
    unseen = by[~by.index.isin(seen)].sort_values(ascending=False)
    assert len(listed) == min(20, len(unseen))
    np.testing.assert_allclose(listed["score"], unseen.iloc[: len(listed)], rtol=1e-5)

    some = similar[similar["item_id"] == similar["item_id"].iloc[0]]
    assert some["cosine"].is_monotonic_decreasing
    counts = ratings["item_id"].value_counts()
    assert some["n_ratings"].tolist() == counts[some["other_item_id"]].tolist()


CLEAN_PROCESS = """
import sys, mlflow, numpy as np, pandas as pd
m = mlflow.pyfunc.load_model(f"models:/{sys.argv[1]}@champion")
print(m.predict(pd.DataFrame({"user_id": [1, 2], "item_id": [3, 10_000]})).to_json())
print(m.predict(pd.DataFrame({"user_id": [1]}), params={"k": 5}).to_json())
"""


def test_the_champion_loads_elsewhere_with_only_the_tracking_uri(
    first: dict[str, Any], place: Path, tmp_path: Path
) -> None:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{place / 'mlruns' / 'mlflow.db'}"
    environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    command = [sys.executable, "-c", CLEAN_PROCESS, first["champion"]]
    output = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    predictions, lists = (json.loads(line) for line in output.stdout.splitlines())
    assert all(1 <= value <= 5 for value in predictions["prediction"].values())
    exported = pd.read_parquet(Path(first["export_path"]) / "recommendations.parquet")
    expected = exported[exported["user_id"] == 1].head(5)
    assert list(lists["item_id"].values()) == expected["item_id"].tolist()


def test_nothing_that_was_logged_is_a_pickle(first: dict[str, Any], place: Path) -> None:
    files = [path for path in place.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")] == []
    arrays = [path for path in files if path.suffix == ".npy"]
    assert arrays
    for path in arrays:
        np.load(path, allow_pickle=False)


def test_a_second_run_reuses_everything(first: dict[str, Any], mfcore: Mfcore) -> None:
    again = mfcore("run", "--dataset", SMALL, *BUDGET, "--json").document
    assert {name: stage["status"] for name, stage in again["stages"].items()} == dict.fromkeys(STAGES, "reused")
    assert {key: again[key] for key in ("version", "metrics", "export_path")} == {
        key: first[key] for key in ("version", "metrics", "export_path")
    }
    assert len(runs(stage="tune")) == 2 * len(STUDIES)


def test_a_change_is_followed_from_where_it_matters(first: dict[str, Any], mfcore: Mfcore) -> None:
    changed = mfcore("run", "--dataset", SMALL, *BUDGET, "--set", "export.n_similar=7", "--json").document
    assert [name for name, stage in changed["stages"].items() if stage["status"] == "made"] == ["export", "report"]
    similar = pd.read_parquet(Path(changed["export_path"]) / "similar_items.parquet")
    assert similar["rank"].max() == 7


def test_a_damaged_artifact_is_made_again(first: dict[str, Any], mfcore: Mfcore, place: Path) -> None:
    (splits,) = (place / ".mfcore" / "splits").glob("[!.]*")
    before = (splits / "test.npy").read_bytes()
    (splits / "test.npy").write_bytes(before[:-8])
    again = mfcore("run", "--dataset", SMALL, *BUDGET, "--set", "export.n_similar=7", "--json").document
    assert [name for name, stage in again["stages"].items() if stage["status"] == "made"] == ["split"]
    assert (splits / "test.npy").read_bytes() == before
    assert is_whole(splits)


@pytest.mark.slow
def test_stages_work_one_at_a_time(mfcore: Mfcore, first: dict[str, Any]) -> None:
    own = (
        "--set",
        "tuning.n_trials=2",
        "--set",
        "tuning.algorithms=als",
        "--set",
        "split.seed=5",
        "--set",
        "tuning.validation=single",
        "--dataset",
        SMALL,
        "--json",
    )
    kinds = [mfcore(stage, *own).document["kind"] for stage in STAGES[:5]]
    assert kinds == ["raw", "ratings", "splits", "studies", "evaluations"]
    assert mfcore("register", *own).document[0]["aliases"] == ["champion"]
    exported = mfcore("export", "--dataset", NAME, "--json").document
    assert Path(exported["path"]).is_dir()
    table = mfcore("evaluate", *own[:-1])
    assert all(
        name in table.out
        for name in ("item_knn", "95 % interval", "popularity lift", "tail items", "No figure", "ranking")
    )
    wrong = mfcore("split", "--from", exported["path"])
    assert (wrong.code, "no output of a stage" in wrong.err) == (5, True)
    wrong = mfcore("tune", "--from", next(Path(".mfcore/raw").glob("[!.]*")))
    assert (wrong.code, "works from splits" in wrong.err) == (2, True)
