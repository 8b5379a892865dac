import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore import load_export
from mfcore.config import ExportConfig
from mfcore.errors import SourceUnavailable
from mfcore.models import ALS, PMF, Recommender
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.storage.artifacts import write_manifest
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


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


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
