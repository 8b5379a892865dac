"""Three nights, then a prune by the strictest rule there is: all that anybody asks for still works.

A less strict rule removes no more than this one (tests/unit/storage/test_retention.py).
"""

from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from mfcore.data.synthetic import synthesize
from mfcore.settings import Settings
from mfcore.stages.context import Context
from mfcore.stages.export import export_champion
from mfcore.stages.pipeline import PipelineResult, run_pipeline
from mfcore.stages.prune import prune, summary
from mfcore.storage.artifacts import is_whole
from mfcore.storage.kinds import Kind
from mfcore.storage.retention import Leftover
from tests.unit.stages.conftest import configured, settings_in

pytestmark = pytest.mark.slow

SMALL = (
    "tuning.rating=als",
    "tuning.ranking=",
    "tuning.n_trials=3",
    "tuning.max_epochs=2",
    "tuning.validation=single",
    "evaluation.max_baseline_items=0",
    "retention.days=0",
    "retention.keep=1",
)
NIGHTS = 3


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("nights"))


def context_of(settings: Settings) -> Context:
    return Context(configured(*SMALL, dataset=str(settings.home.parent / "shop.csv")), settings=settings)


def trials(settings: Settings, view: int = ViewType.ACTIVE_ONLY) -> Counter[str]:
    client = MlflowClient(settings.tracking_uri)
    (experiment,) = client.search_experiments(filter_string="name LIKE 'mfcore/%'")
    found = client.search_runs([experiment.experiment_id], "tags.stage = 'tune'", view)
    return Counter(run.data.tags["study"] for run in found)


def models(settings: Settings) -> list[Path]:
    return list(settings.mlruns.rglob("models/m-*"))


@pytest.fixture(scope="module")
def nights(settings: Settings) -> list[PipelineResult]:
    """Each night brings ratings that the night before did not have."""
    frame = synthesize(50, 30, 900).frame
    results = []
    for night in range(NIGHTS):
        frame.head(700 + 100 * night).to_csv(settings.home.parent / "shop.csv", index=False)
        results.append(run_pipeline(context_of(settings)))
    return results


@pytest.fixture(scope="module")
def removed(nights: list[PipelineResult], settings: Settings) -> list[Leftover]:
    found = prune(context_of(settings))
    assert all(one.path is None or one.path.exists() for one in found)
    assert sum(trials(settings).values()) == NIGHTS * 3
    gone = prune(context_of(settings), for_good=True)
    assert [(one.what, one.name) for one in gone] == [(one.what, one.name) for one in found]
    return gone


def test_old_nights_go(nights: list[PipelineResult], removed: list[Leftover], settings: Settings) -> None:
    first, previous, champion = (one.version for one in nights)
    assert first < previous < champion
    assert [one.name for one in removed if one.what == "export"] == [str(first)]
    assert str(first) in {one.name for one in removed if one.what == "version"}
    versions = {one.version: one.aliases for one in context_of(settings).registry.versions()}
    assert (versions[previous], versions[champion]) == (["previous"], ["champion"])
    assert first not in versions and not (settings.exports / nights[0].dataset / str(first)).exists()
    left = {kind: len(list((settings.home / kind).glob("shop-*"))) for kind in Kind}
    # The ratings that the version before the champion was trained on stay, and what they were read from.
    assert left == {Kind.RAW: 2, Kind.RATINGS: 2, Kind.SPLITS: 1, Kind.STUDIES: 1, Kind.EVALUATIONS: 1}
    assert sorted(trials(settings).values()) == [1, 1, 3]
    assert all(one.path is None or not one.path.exists() for one in removed)
    assert {row["what"]: row["count"] for row in summary(removed)}["trial"] == 4
    assert not prune(context_of(settings))


def test_what_was_removed_from_mlflow_is_gone_for_good(removed: list[Leftover], settings: Settings) -> None:
    assert sorted(trials(settings, ViewType.ALL).values()) == [1, 1, 3]
    files = Counter(
        path.relative_to(folder.parent).parts[0] for folder in models(settings) for path in folder.rglob("*.npy")
    )
    gone = {one.name for one in removed if one.what == "model"}
    assert gone and files and not files.keys() & gone


def test_each_studys_best_trial_and_every_figure_stay(
    nights: list[PipelineResult], removed: list[Leftover], settings: Settings
) -> None:
    client = MlflowClient(settings.tracking_uri)
    for night in nights:
        figures = {file.path for file in client.list_artifacts(night.run_id, "figures")}
        assert "figures/comparison.png" in figures
        best = client.get_run(night.run_id).data.tags
        assert best["stage"] == "pipeline"


def test_champion_and_previous_can_be_pulled_exported_and_asked(
    nights: list[PipelineResult], removed: list[Leftover], settings: Settings
) -> None:
    context = context_of(settings)
    registry = context.registry
    _, previous, newest = (one.version for one in nights)
    for version in (newest, previous, newest):
        champion = registry.require_champion()
        assert champion.version == version
        model = registry.pull(champion)
        assert len(model.recommend(model.user_ids[:3], 5)) == 15
        exported = export_champion(context, champion)
        assert exported.reused and is_whole(exported.path)
        assert Path(exported.path.parent / "latest").resolve() == exported.path.resolve()
        if version == newest:
            registry.rollback()
        else:
            registry.promote(newest)
    registry.promote(newest)


def test_a_run_on_the_same_data_reuses_all_and_logs_no_trial_again(
    nights: list[PipelineResult], removed: list[Leftover], settings: Settings
) -> None:
    before = trials(settings)
    again = run_pipeline(context_of(settings))
    assert {one.status for one in again.stages.values()} == {"reused"}
    assert again.version == nights[-1].version
    assert trials(settings) == before


def test_a_study_that_was_pruned_is_not_logged_again(
    nights: list[PipelineResult], removed: list[Leftover], settings: Settings
) -> None:
    """Its trials are made again from the data of the first night, and are known to have been there."""
    frame = synthesize(50, 30, 900).frame
    frame.head(700).to_csv(settings.home.parent / "shop.csv", index=False)
    before = trials(settings)
    context = context_of(settings)
    run_pipeline(context)
    assert trials(settings) == before
