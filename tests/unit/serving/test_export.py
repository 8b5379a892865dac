import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mfcore import load_export
from mfcore.config import ExportConfig, ListsConfig
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.models import ALS, PMF, Recommender
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from tests.contract.synthetic import synthetic_ratings


@pytest.mark.parametrize("recommender", [ALS(n_factors=3, n_epochs=2), PMF(n_factors=2, n_epochs=2, link="logistic")])
def test_an_export_gives_the_ratings_it_was_made_from(recommender: Recommender, tmp_path: Path) -> None:
    ratings, pairs = synthetic_ratings(n_users=30, n_items=20)
    factors, ranking = recommender.train(ratings), ALS(n_factors=2, n_epochs=2, missing_weight=0.3).train(ratings)
    export_model(Model.of(factors, ratings, None, ranking), tmp_path / "export", {}, ExportConfig())
    for head, made in (("rating", factors), ("ranking", ranking)):
        loaded = load_export(tmp_path / "export", head)
        assert loaded.predict(pairs.users, pairs.items).tolist() == made.predict(pairs.users, pairs.items).tolist()
        assert np.array_equal(loaded.item_ids, made.item_ids)
    (tmp_path / "export" / "item_factors.parquet").write_bytes(b"")
    with pytest.raises(SourceUnavailable, match=r"item_factors\.parquet"):
        load_export(tmp_path / "export")


def test_an_export_names_the_reasons_of_its_lists(tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None)
    export_model(model, tmp_path / "export", {}, ExportConfig(n_recommendations=4))
    lists = pd.read_parquet(tmp_path / "export" / "recommendations.parquet")
    schema = pq.read_schema(tmp_path / "export" / "recommendations.parquet")
    assert schema.field("because_1").type == schema.field("item_id").type
    for _, row in lists.iloc[::17].iterrows():
        why = model.explain(row["user_id"], row["item_id"], 2)
        expected = why.loc[why["contribution"] > 0, "rated_item_id"].tolist()
        assert [row[name] for name in ("because_1", "because_2") if pd.notna(row[name])] == expected
    export_model(model, tmp_path / "bare", {}, ExportConfig(n_reasons=0))
    assert not [name for name in pd.read_parquet(tmp_path / "bare" / "recommendations.parquet") if "because" in name]


def test_an_export_follows_the_filters_and_tells_how_many_lists_are_shorter(tmp_path: Path) -> None:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None)
    (tmp_path / "ids").write_text("\n".join(map(str, model.item_ids[:12])))
    target, lists = tmp_path / "export", ListsConfig(allow=tmp_path / "ids", diversity=0.3)
    assert export_model(model, target, {}, ExportConfig(n_recommendations=6), lists)
    found = pd.read_parquet(target / "recommendations.parquet")
    assert set(found["item_id"]) <= set(model.item_ids[:12])
    expected = model.recommend(model.user_ids, 6, only_items=model.item_ids[:12], levers=lists.levers)
    assert found["item_id"].tolist() == expected["item_id"].tolist()
    n_full = int((found["rank"] == 6).sum())
    assert json.loads((target / "manifest.json").read_text())["shorter_lists"] == 30 - n_full > 0
    assert not export_model(model, target, {}, ExportConfig(n_recommendations=6), lists), "the same again"
    (tmp_path / "ids").write_text("\n".join(map(str, model.item_ids[:9])))
    assert export_model(model, target, {}, ExportConfig(n_recommendations=6), lists), "another list of ids"
    with pytest.raises(UsageError, match="none of the 20 items"):
        export_model(model, target, {}, ExportConfig(), ListsConfig(min_ratings=10**6))
    assert set(pd.read_parquet(target / "recommendations.parquet")["item_id"]) <= set(model.item_ids[:9])
