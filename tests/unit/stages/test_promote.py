"""By hand: the champion moves, and its export with it, whoever else moves it at the same time."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import NothingToWorkFrom, SourceUnavailable, UsageError
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.stages.context import Context
from mfcore.stages.export import export_champion
from mfcore.stages.promote import promote_version, roll_back
from mfcore.tracking.models import log_model
from mfcore.tracking.runs import model_id_of
from tests.unit.stages.conftest import configured, settings_in


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four versions that nobody has promoted, the last one without its files."""
    settings = settings_in(tmp_path_factory.mktemp("promoted"))
    context = Context(configured(), "films", settings=settings)
    ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    model = Model.of(ALS(n_factors=4).train(ratings), ratings, None)
    with context.experiment.run("register") as run:
        uris = [log_model(model, run, "als", {}, {}) for _ in range(2)]
    common = {"recipes": {}, "data": "d", "split": "s", "metrics": {}, "description": ""}
    for number in range(1, 5):
        context.registry.add(uris[number == 4], run, fingerprint=str(number), **common)  # type: ignore[arg-type]
    (lost,) = (settings.mlruns / "artifacts").rglob(model_id_of(uris[1]))
    shutil.rmtree(lost)
    return settings


@pytest.fixture
def context(settings: Settings) -> Context:
    return Context(configured(), "films", settings=settings)


def latest(settings: Settings) -> int:
    manifest: Path = settings.exports / "films" / "latest" / "manifest.json"
    version: int = json.loads(manifest.read_text(encoding="utf-8"))["model_version"]
    return version


def test_the_export_goes_where_the_champion_goes(settings: Settings, context: Context) -> None:
    for version in (1, 2):
        assert promote_version(context, version).version == latest(settings) == version
    made = (settings.exports / "films" / "1" / "manifest.json").stat().st_mtime_ns
    assert roll_back(context).version == latest(settings) == 1
    assert (settings.exports / "films" / "1" / "manifest.json").stat().st_mtime_ns == made, "it is written once"


def test_what_cannot_be_exported_is_not_promoted(settings: Settings, context: Context) -> None:
    promote_version(context, 1)
    with pytest.raises(SourceUnavailable, match="films/4"):
        promote_version(context, 4)
    with pytest.raises(UsageError, match="no version 9; there are: 1, 2, 3, 4"):
        promote_version(context, 9)
    assert context.registry.require_champion().version == latest(settings) == 1
    with pytest.raises(NothingToWorkFrom, match="no champion before"):
        roll_back(Context(configured(), "nobodys", settings=settings))


def test_a_version_without_its_files_is_not_promoted_though_its_export_is_there(
    settings: Settings, context: Context
) -> None:
    promote_version(context, 1)
    shutil.copytree(settings.exports / "films" / "1", settings.exports / "films" / "4")
    with pytest.raises(SourceUnavailable, match="films/4"):
        promote_version(context, 4)
    assert context.registry.require_champion().version == latest(settings) == 1


def test_a_run_that_exports_what_was_meanwhile_replaced_leaves_latest_alone(
    settings: Settings, context: Context
) -> None:
    champion = context.registry.promote(2)
    promote_version(context, 3)
    assert export_champion(context, champion).path.name == "2"
    assert latest(settings) == context.registry.require_champion().version == 3


def test_promotions_at_once_end_with_the_champions_export(settings: Settings, context: Context) -> None:
    promote_version(context, 1)
    start = threading.Barrier(3)

    def promote(version: int) -> None:
        own = Context(configured(), "films", settings=settings)
        start.wait()
        promote_version(own, version)

    threads = [threading.Thread(target=promote, args=(version,)) for version in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latest(settings) == context.registry.require_champion().version
