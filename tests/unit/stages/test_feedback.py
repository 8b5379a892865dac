"""Events joined with exports, by the version they name or the champion of their time."""

import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from mfcore.config import ExportConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import DataInvalid, NothingToWorkFrom, SourceUnavailable
from mfcore.models import Recipe
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.stages.context import Context
from mfcore.stages.feedback import collect_feedback
from tests.unit.stages.conftest import configured, settings_in

TAGS = {"fingerprint": "f", "data": "d", "recipes": '{"rating": {"algorithm": "als"}}', "metrics": "{}"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Two champions, one after the other, and what each exported."""
    context = Context(configured(), "shop", settings=settings_in(tmp_path_factory.mktemp("feedback")))
    client = MlflowClient(context.settings.tracking_uri)
    registry = context.registry
    client.create_registered_model(registry.name)
    ratings = Ratings.from_frame(synthesize(30, 25, 300).frame, Scale(1, 5, 1))
    for version in (1, 2):
        model = Model.of(
            Recipe(algorithm="als", params={"n_factors": 2, "seed": version}).build().train(ratings), ratings, None
        )
        folder = context.settings.exports / "shop" / str(version)
        export_model(model, folder, {"model_version": version}, ExportConfig(n_recommendations=5))
        client.create_model_version(registry.name, "/nowhere", tags=TAGS)
        registry.promote(version)
        time.sleep(1.1)
    return context


def lists(context: Context, version: int) -> pd.DataFrame:
    return pd.read_parquet(context.settings.exports / "shop" / str(version) / "recommendations.parquet")


def test_events_belong_to_the_version_they_name_or_the_champion_of_their_time(context: Context, tmp_path: Path) -> None:
    first, second = (one for one in context.registry.history() if one.role == "champion")
    early, late = first.since / 1000 + 1, second.since / 1000 + 1  # times are whole seconds
    clicks = lists(context, 1).groupby("user_id").head(1)[["user_id", "item_id"]].assign(event="clicked")
    rated = lists(context, 2)[["user_id", "item_id"]].head(20).assign(event="rated", rating=4.0)
    frame = pd.concat(
        [
            clicks.head(10).assign(time=late, model_version=1),  # seen today in a list of yesterday's
            clicks.tail(2).assign(time=early),
            rated.assign(time=late),
            rated.head(1).assign(time=early - 3600),  # before the first champion
        ]
    )
    file = tmp_path / "events.csv"
    frame.assign(time=pd.to_datetime(frame["time"], unit="s", utc=True).map(pd.Timestamp.isoformat)).to_csv(
        file, index=False
    )
    one, two = collect_feedback(context, file)
    assert (one.version, one.users, one.hit_rate, one.ratings) == (1, 12, 1.0, 0)
    assert (two.version, two.users, two.hit_rate, two.ratings) == (2, 4, 1.0, 20)
    assert two.rmse is not None and 0 < two.rmse < 3

    client = MlflowClient(context.settings.tracking_uri)
    (run,) = client.search_runs([context.experiment.id], "tags.stage = 'feedback'")
    drawn = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "users")}
    assert drawn == {1: 12, 2: 4}
    assert "feedback.json" in [file.path for file in client.list_artifacts(run.info.run_id)]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("user_id,item_id,time\n1,2,0\n", DataInvalid, "lacks event"),
        ("user_id,item_id,event,time\n1,2,bought,0\n", DataInvalid, "row 0 counted from 0: event is 'bought'"),
        ("user_id,item_id,event,time\n1,2,shown,0\n1,2,shown,\n", DataInvalid, "row 1 counted from 0: its time"),
        ("user_id,item_id,event,time,model_version\n1,2,shown,0,77\n", NothingToWorkFrom, "no event of"),
        ("", SourceUnavailable, "can't be read"),
    ],
)
def test_what_can_not_be_joined_is_said(
    context: Context, tmp_path: Path, text: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "events.csv").write_text(text)
    with pytest.raises(error, match=said):
        collect_feedback(context, tmp_path / "events.csv")
