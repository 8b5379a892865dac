"""Registering a model with items that nobody rated."""

import pandas as pd
import pytest
from mlflow import MlflowClient

from mfcore.stages.context import Context
from mfcore.stages.export import export_champion
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
