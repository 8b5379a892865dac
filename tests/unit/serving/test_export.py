import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from mfcore.storage.artifacts import write_manifest
from tests.contract.synthetic import synthetic_ratings
from tests.unit.traps import Trap


@pytest.mark.parametrize("recommender", [ALS(n_factors=3, n_epochs=2), PMF(n_factors=2, n_epochs=2, link="logistic")])
def test_an_export_gives_the_ratings_it_was_made_from(recommender: Recommender, tmp_path: Path) -> None:
    ratings, pairs = synthetic_ratings(n_users=30, n_items=20)
    factors, ranking = recommender.train(ratings), ALS(n_factors=2, n_epochs=2, missing_weight=0.3).train(ratings)
    export_model(Model.of(factors, ratings, None, ranking), tmp_path / "export", {}, ExportConfig())
    for head, made in (("rating", factors), ("ranking", ranking)):
        loaded = load_export(tmp_path / "export", head)
        assert loaded.predict(pairs.users, pairs.items).tolist() == made.predict(pairs.users, pairs.items).tolist()
        assert np.array_equal(loaded.item_ids, made.item_ids)


def changed(**columns: Any) -> Callable[[pd.DataFrame], bytes]:
    return lambda frame: frame.assign(**columns).to_parquet(index=False)


DAMAGES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "a pickle": lambda _: pickle.dumps(Trap()),
    "an array": lambda frame: frame["bias"].to_numpy().tobytes(),
    "nothing": lambda _: b"",
    "another shape": lambda frame: frame.assign(factors=[[1.0] * 2] * len(frame)).to_parquet(index=False),
    "rows of two lengths": lambda frame: frame.assign(
        factors=[[1.0] * (i % 3) for i in range(len(frame))]
    ).to_parquet(),
    "objects": lambda frame: frame.assign(factors=[["x"] * 3] * len(frame)).to_parquet(index=False),
    "text": changed(bias="x"),
    "NaN": changed(bias=np.float32("nan")),
    "no ids": lambda frame: frame.drop(columns="item_id").to_parquet(index=False),
    "fewer rows": lambda frame: frame[:-1].drop(columns="factors").to_parquet(index=False),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    folder = tmp_path_factory.mktemp("whole") / "export"
    export_model(Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None), folder, {}, ExportConfig())
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_export_that_was_damaged_is_refused_by_name(
    damage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, name = tmp_path / "export", "item_factors.parquet"
    shutil.copytree(whole, folder)
    (folder / name).write_bytes(DAMAGES[damage](pd.read_parquet(whole / name)))
    with pytest.raises(SourceUnavailable, match=f"{name} differs"):
        load_export(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").unlink()
    write_manifest(folder, **{key: value for key, value in manifest.items() if key not in ("files", "made_at")})
    with pytest.raises(SourceUnavailable, match=name) as refused:
        load_export(folder)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "trapped").exists()


def test_changed_bytes_of_an_export_are_noticed(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(whole, folder)
    for path in folder.glob("*.parquet"):
        content = path.read_bytes()
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
        with pytest.raises(SourceUnavailable, match=f"{path.name} differs"):
            load_export(folder)
        path.write_bytes(content)
    manifest = (folder / "manifest.json").read_text(encoding="utf-8")
    for text in ("{", "[]", manifest.replace('"identity"', '"exec"'), manifest.replace('"n_factors"', '"other"')):
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(SourceUnavailable, match=r"manifest\.json"):
            load_export(folder)


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
