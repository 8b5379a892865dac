"""Registering a model with items that nobody rated, or with item kNN for hybrid lists."""

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from mfcore.config import Levers
from mfcore.errors import UsageError
from mfcore.stages.context import Context
from mfcore.stages.export import export_champion
from mfcore.stages.levers import measure_levers
from mfcore.stages.register import register_champion
from mfcore.storage.kinds import Kind
from tests.unit.stages.conftest import configured
from tests.unit.stages.test_report import NAME, context

__all__ = ["context"]

pytestmark = pytest.mark.slow


def test_items_that_nobody_rated_are_registered_scored_and_exported_where_that_is_wanted(context: Context) -> None:
    evaluation = context.store.newest(Kind.EVALUATIONS, NAME)
    plain = register_champion(context, evaluation).champion
    assert len(context.registry.pull(plain).item_ids) == 60
    wanted = Context(configured("cold_items.enabled=true"), NAME, settings=context.settings)
    champion = register_champion(wanted, evaluation).champion
    assert champion.version != plain.version
    model = context.registry.pull(champion)
    assert model.item_ids[model.n_ratings == 0].tolist() == [1001, 1002]
    metrics = MlflowClient(context.settings.tracking_uri).get_run(champion.run_id).data.metrics
    assert 0 < metrics["cold_item_rmse"] < 2 and 0 < metrics["cold_item_rmse_of_mean"] < 2
    folder = export_champion(wanted, champion).path
    marked = pd.read_parquet(folder / "item_factors.parquet").set_index("item_id")["known_item"]
    assert marked[~marked].index.tolist() == [1001, 1002]
    lists = pd.read_parquet(folder / "recommendations.parquet")
    assert (lists["known_item"] == ~lists["item_id"].isin([1001, 1002])).all()


def test_item_knn_is_kept_for_hybrid_lists_where_they_are_wanted(context: Context) -> None:
    evaluation = context.store.newest(Kind.EVALUATIONS, NAME)
    plain = register_champion(context, evaluation).champion
    assert context.registry.pull(plain).neighbors is None
    wanted = Context(configured("lists.knn_share=0.5"), NAME, settings=context.settings)
    with pytest.raises(UsageError, match="does not keep"):
        export_champion(wanted, plain)
    champion = register_champion(wanted, evaluation).champion
    model = context.registry.pull(champion)
    expected = model.recommend(model.user_ids, 20, levers=Levers(knn_share=0.5))
    assert not expected["item_id"].equals(model.recommend(model.user_ids, 20)["item_id"])
    exported = pd.read_parquet(export_champion(wanted, champion).path / "recommendations.parquet")
    assert exported["item_id"].tolist() == expected["item_id"].tolist()
    mlflow.set_tracking_uri(context.settings.tracking_uri)
    served = mlflow.pyfunc.load_model(f"models:/{champion.name}/{champion.version}")
    users = pd.DataFrame({"user_id": model.user_ids[:40]})
    lists = served.predict(users, params={"k": 20, "levers": '{"knn_share": 0.5}'})
    assert lists["item_id"].tolist() == expected["item_id"].tolist()[: len(lists)]
    rows = {row["lever"] for row in measure_levers(wanted, evaluation)}
    assert {"knn_share 0.5", "as configured"} <= rows
