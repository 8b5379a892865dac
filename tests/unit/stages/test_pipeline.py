"""The whole chain in this process, with a real MLflow store and no orchestrator."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from mfcore.data.snapshot import Snapshot
from mfcore.errors import DataInvalid, NothingToWorkFrom, TrainingDiverged, UsageError
from mfcore.evaluation.rules import Rule
from mfcore.metrics.objective import Objective
from mfcore.models import ALS, SGD
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.stages import register
from mfcore.stages.compare import fitted
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.stages.export import export_champion
from mfcore.stages.pipeline import PipelineResult, run_pipeline
from mfcore.stages.register import register_champion
from mfcore.stages.split import split_ratings
from mfcore.stages.table import EVALUATE, REGISTER, STAGES, TUNE, VALIDATE, Stage
from mfcore.stages.tune import load_tuned, tune_recipes
from mfcore.stages.validate import validate_raw
from mfcore.storage.kinds import Kind
from tests.unit.stages.conftest import NAME, Recorder, configured, settings_in

SMALL = (
    "tuning.rating=als",
    "tuning.ranking=",
    "tuning.n_trials=2",
    "tuning.max_epochs=3",
    "tuning.validation=single",
    "evaluation.max_baseline_items=0",
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="module")
def watched() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def given() -> list[tuple[Stage[Any], Any]]:
    return []


@pytest.fixture(scope="module")
def result(settings: Settings, watched: Recorder, given: list[tuple[Stage[Any], Any]]) -> PipelineResult:
    def run_stage(stage: Stage[Any], context: Context, output: Any) -> Any:
        given.append((stage, output))
        return stage.run(context, output)

    return run_pipeline(
        Context(configured(*SMALL, "report.enabled=true"), observer=watched, settings=settings), run_stage
    )


def test_the_chain_ends_with_a_champion_and_its_export(result: PipelineResult) -> None:
    assert (result.dataset, result.champion, result.version) == (NAME, f"mfcore-{NAME}", 1)
    assert list(result.stages) == [stage.name for stage in STAGES]
    assert {one.status for one in result.stages.values()} == {"made"}
    assert list(result.heads) == [Objective.RATING]
    assert 0.1 < result.metrics["test_rmse"] < 1.5
    assert json.loads((result.export_path / "manifest.json").read_text())["model_uri"] == result.model_uri
    assert result.report == result.export_path.parent / "report" / "index.html"
    assert result.report.is_file()


def test_algorithms_are_compared_by_their_tuned_recipes_or_else_by_their_defaults(
    result: PipelineResult, settings: Settings
) -> None:
    context = Context(configured(*SMALL), settings=settings)
    found = fitted(context, ["als", "sgd"])
    ratings = Snapshot.load(context.store.newest(Kind.RATINGS, NAME).path).ratings
    tuned = load_tuned(context.store.newest(Kind.STUDIES, NAME))["rating-als"].recipe
    assert tuned.build() != ALS()
    for name, recommender in (("als", tuned.build()), ("sgd", SGD())):
        assert np.array_equal(found[name].factors.item_factors, recommender.train(ratings).item_factors)
    with pytest.raises(NothingToWorkFrom, match="no ratings of nowhere"):
        fitted(Context(configured(), "nowhere", settings=settings), ["als"])


def test_who_watches_is_told_of_steps_tables_and_progress(result: PipelineResult, watched: Recorder) -> None:
    assert watched.steps == [
        *("fetch", "read_and_check", "publish", "split", "tune-rating-als", "train_and_score", "publish"),
        *("train_on_all", "register_challenger", "write", "publish", "gather", "write"),
    ]
    assert list(watched.tables) == [f"checks-{NAME}", f"comparison-{NAME}", f"gate-{NAME}"]
    assert all(check["success"] for check in watched.tables[f"checks-{NAME}"])
    assert {"rating-als", "bias"} <= {row["model"] for row in watched.tables[f"comparison-{NAME}"]}
    assert str(result.export_path) in watched.texts[f"export-{NAME}"]
    assert str(result.report) in watched.texts[f"report-{NAME}"]
    done, of, remark = watched.moves[f"tuning-rating-als-{NAME}"]
    assert (done, of) == (2, 2)
    assert remark.startswith("best 0.")
    done, of, remark = watched.moves[f"evaluation-{NAME}"]
    assert done == of > 2
    assert remark == "most_popular"


def test_the_summary_begins_with_the_verdict_and_has_the_seconds_of_each_stage(
    result: PipelineResult, watched: Recorder
) -> None:
    text = watched.texts[f"summary-{NAME}"]
    verdict, _, rest = text.partition("| model")
    figure = f"{result.metrics['test_rmse']:.4f}"
    head = result.heads[Objective.RATING]
    assert f"rating: **{head.algorithm}**, test RMSE {figure}, {head.status}" in verdict
    (winner,) = (line for line in rest.splitlines() if line.startswith("| **"))
    assert head.algorithm in winner and figure in winner
    stages = text.partition("### Stages")[2]
    for name, one in result.stages.items():
        assert f"| {name} | made | {one.seconds:.1f} |" in stages
    assert f"`{result.export_path}`" in text and result.champion in text


def test_who_watches_is_told_of_a_promotion_and_an_export(result: PipelineResult, watched: Recorder) -> None:
    promoted = {"version": 1, "before": None, "model_uri": result.model_uri}
    published = {"version": 1, "path": str(result.export_path), "model_uri": result.model_uri}
    assert watched.events == [("champion.promoted", NAME, promoted), ("export.published", NAME, published)]


def test_every_run_is_a_child_of_the_pipelines(result: PipelineResult, settings: Settings) -> None:
    client = MlflowClient(settings.tracking_uri)
    experiment = client.get_experiment_by_name(f"mfcore/{NAME}")
    runs = client.search_runs([experiment.experiment_id])
    (pipeline,) = [run for run in runs if run.info.run_id == result.run_id]
    children = [run for run in runs if run is not pipeline]
    assert pipeline.data.tags["stage"] == "pipeline"
    assert pipeline.data.tags["report"] == str(result.report)
    assert f"`{result.report}`" in pipeline.data.tags["mlflow.note.content"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {result.run_id}
    stages = [run.data.tags["stage"] for run in children]
    assert {name: stages.count(name) for name in ("tune", "register")} == {"tune": 2, "register": 1}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_an_orchestrator_runs_the_stages_of_the_table_on_what_each_takes(
    result: PipelineResult, given: list[tuple[Stage[Any], Any]]
) -> None:
    assert [stage for stage, _ in given] == list(STAGES)
    assert [getattr(output, "kind", None) for _, output in given] == [stage.takes for stage in STAGES]
    assert given[-1][1].uri == result.model_uri


def test_a_stage_alone_needs_no_look_up_of_the_data_set(result: PipelineResult, settings: Settings) -> None:
    splits = Context(configured(), settings=settings).store.newest(Kind.SPLITS, NAME)
    unknown = configured(*SMALL, dataset="ml-100")
    studies = tune_recipes(Context(unknown, splits.dataset, settings=settings), splits)
    assert studies.reused
    assert [len(tuned.trials) for tuned in load_tuned(studies).values()] == [2]
    with pytest.raises(UsageError, match="did you mean"):
        TUNE.run(Context(unknown, settings=settings))


def test_a_stage_alone_that_has_nothing_to_do_leaves_no_run(result: PipelineResult, settings: Settings) -> None:
    client = MlflowClient(settings.tracking_uri)

    def n_runs() -> int:
        return len(client.search_runs([context.experiment.id], max_results=1000))

    context = Context(configured(*SMALL), settings=settings)
    before = n_runs()
    for stage in (VALIDATE, TUNE, EVALUATE, REGISTER):
        assert stage.run(context).reused, stage.name
        assert n_runs() == before, stage.name


def test_register_and_export_work_from_what_is_there(result: PipelineResult, settings: Settings) -> None:
    context = Context(configured(*SMALL), settings=settings)
    nobody_new = Recorder()
    context.observer = nobody_new
    registration = register_champion(context)
    assert (registration.champion.version, registration.reused) == (result.version, True)
    exported = export_champion(context)
    assert (exported.path, exported.reused) == (result.export_path, True)
    assert nobody_new.events == []
    evaluation = load_evaluation(context.store.newest(Kind.EVALUATIONS, NAME))
    assert evaluation.headline == result.metrics
    with pytest.raises(NothingToWorkFrom, match="no champion"):
        export_champion(Context(configured(), "nobodys", settings=settings))


def test_the_verdict_is_a_table_tags_and_the_versions_description(
    result: PipelineResult, settings: Settings, watched: Recorder
) -> None:
    client, context = MlflowClient(settings.tracking_uri), Context(configured(), settings=settings)
    version = context.registry.version(result.version)
    rows = watched.tables[f"gate-{NAME}"]
    assert {"factors not finite", "predictions off the scale"} <= {row["rule"] for row in rows}
    assert any("limit global_mean" in row["rule"] for row in rows)
    assert all(row["found"] != "unknown" and row["passed"] in ("yes", "no") for row in rows)
    assert [rule.row for rule in version.verdict] == rows
    described = client.get_model_version(version.name, str(version.version)).description
    assert all(f"| {rule.of}&emsp; | {rule.name}&emsp; |" in described for rule in version.verdict)
    assert client.get_run(version.run_id).data.tags["mlflow.note.content"] == described
    assert {"verdict", "verdict_rating"} <= set(client.get_run(result.run_id).data.tags)
    assert version.trained_on == {"ratings": 900, "users": 60, "items": 30}
    low, high = version.intervals["test_rmse"]
    assert low < version.metrics["test_rmse"] < high


def test_the_card_tells_what_a_person_has_to_know(
    result: PipelineResult, settings: Settings, watched: Recorder, tmp_path: Path
) -> None:
    version = Context(configured(), settings=settings).registry.version(result.version)
    client = MlflowClient(settings.tracking_uri)
    described = client.get_model_version(version.name, str(version.version)).description
    assert f"/runs/{version.run_id}/artifacts/model_card.md" in described
    card = Path(client.download_artifacts(version.run_id, "model_card.md", str(tmp_path))).read_text(encoding="utf-8")
    assert card == watched.texts[f"card-{NAME}"]
    for part in ("Data", "Recipes", "Metrics", "Slices", "The gate", "Intended use", "Limits", "License"):
        assert f"\n## {part}\n" in card
    assert "900 ratings by 60 users on 30 items" in card and "Made here; use it as you like." in card
    assert f"- rating head: algorithm {result.algorithm}" in card and "period: " in card and "scale: " in card
    low, high = version.intervals["test_rmse"]
    assert f"| test RMSE&emsp; | {version.metrics['test_rmse']:.4f} ({low:.4f} to {high:.4f})" in card
    assert "| light users&emsp; |" in card


def test_ratings_that_drifted_too_far_keep_the_champion(
    result: PipelineResult, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(configured(*SMALL), settings=settings)
    before = register_champion(context).champion
    too_far = Rule(of="data", name="drift of size", found=0.9, relation="≤", limit=0.5)
    monkeypatch.setattr(register, "drift_rules", lambda checks, config: [too_far])
    assert register_champion(context).champion == before  # the very same data
    monkeypatch.setattr(register, "_CODE", "of another day")
    after = register_champion(context)
    assert (after.champion.version, after.reused) == (before.version, True)
    newest = context.registry.versions()[0]
    assert newest.version > before.version and newest.aliases == ["challenger"]
    reign = context.registry.history()[-1]
    assert (reign.role, reign.version) == ("challenger", newest.version)
    assert reign.why == "did not pass the gate: drift of size 0.9, not ≤ 0.5"


@pytest.mark.parametrize("damage", ["not finite", "off the scale"])
def test_a_model_that_is_not_sound_is_not_registered(
    damage: str, result: PipelineResult, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(configured(*SMALL), settings=settings)
    before, versions = register_champion(context).champion, context.registry.versions()

    made = Model.of

    def damaged(*given: Any) -> Model:
        model = made(*given)
        if damage == "not finite":
            model.factors.item_bias[3] = np.inf
        else:
            object.__setattr__(model.factors, "predict", lambda users, items: np.full(len(users), 9, np.float32))
        return model

    monkeypatch.setattr(Model, "of", damaged)
    monkeypatch.setattr(register, "_CODE", f"that made it {damage}")
    with pytest.raises(TrainingDiverged, match=damage):
        register_champion(context)
    assert context.registry.versions() == versions and context.registry.champion() == before


def test_ratings_that_fail_are_shown_and_set_aside(settings: Settings, recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    frame = pd.DataFrame({"user_id": [1, 1, 2, 3] * 9, "item_id": range(36), "rating": ["5", "four", "?", "3"] * 9})
    frame.to_csv(file, index=False)
    context = Context(configured(dataset=str(file)), observer=recorder, settings=settings)
    with pytest.raises(DataInvalid, match="failed validation") as refused:
        validate_raw(context)
    (rows,) = (settings.home / "quarantine").glob("*.csv")
    assert len(pd.read_csv(rows)) == 18
    assert str(rows) in str(refused.value)
    ((event, dataset, facts),) = recorder.events
    assert (event, dataset) == ("data.refused", context.dataset_name) and facts["problems"]
    assert not all(check["success"] for check in recorder.tables[f"checks-{context.dataset_name}"])
    assert not context.store.has(Kind.RATINGS, context.dataset_name)


def test_a_stage_alone_makes_what_it_lacks(settings: Settings, recorder: Recorder) -> None:
    context = Context(configured(dataset="synthetic:users=50,items=30,ratings=800"), None, recorder, settings)
    splits = split_ratings(context)
    steps = ["fetch", "read_and_check", "publish", "split"]
    assert recorder.steps == steps
    assert context.store.input(splits, Kind.RAW).dataset == splits.dataset == "synthetic-50x30-800"
    assert split_ratings(context).reused
    assert recorder.steps == steps * 2, "each stage is asked for what belongs to the configuration"


@pytest.mark.slow
def test_studies_are_of_a_sample_of_users_and_their_winner_is_trained_on_all(
    result: PipelineResult, settings: Settings, tmp_path: Path
) -> None:
    own = settings_in(tmp_path)
    sampled = run_pipeline(Context(configured(*SMALL, "tuning.sample=0.5"), settings=own))
    few, all_ = (
        load_tuned(Context(configured(), settings=one).store.newest(Kind.STUDIES, NAME))["rating-als"].trials[0]
        for one in (own, settings)
    )
    assert few.params == all_.params
    assert few.curve != all_.curve
    users = [pd.read_parquet(one.export_path / "user_factors.parquet")["user_id"] for one in (sampled, result)]
    assert users[0].equals(users[1])
