"""An export that is whole passes; each single thing that is wrong with it is found and named."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pandas as pd
import pytest

from mfcore.config import ExportConfig, ListsConfig
from mfcore.errors import SourceUnavailable
from mfcore.models import ALS, EASE
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.serving.verify import verify_export
from mfcore.storage.artifacts import MANIFEST, write_manifest
from tests.contract.synthetic import synthetic_ratings


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    model = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None, EASE(n_factors=6).train(ratings))
    folder = tmp_path_factory.mktemp("exports") / "1"
    export_model(model, folder, {}, ExportConfig(n_recommendations=5), ListsConfig(diversity=0.4))
    return folder


def test_a_whole_export_passes_and_says_its_rows(export: Path) -> None:
    rows = verify_export(export)
    assert rows["recommendations.parquet"] == len(pd.read_parquet(export / "recommendations.parquet"))
    assert set(rows) == {path.name for path in export.glob("*.parquet")}


def _set(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[7, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("recommendations", _set("score", 99.0), "score that is not that of the factors in row 7"),
        (
            "recommendations",
            _set("predicted_rating", 1.234),
            "predicted rating that is not that of the factors in row 7",
        ),
        ("recommendations", _set("item_id", 10**6), "an id that the factors don't have in row 7"),
        ("recommendations", _set("rank", 9), "a wrong rank, or an item twice in row 7"),
        ("recommendations", lambda table: table.iloc[:-1], "rows, its manifest"),
        ("similar_items", _set("cosine", 1.5), "a cosine beyond 1 in row 7"),
        ("similar_items", lambda table: table.assign(other_item_id=table["item_id"]), "similar to itself in row 0"),
        ("similar_items", lambda table: table.iloc[::-1].reset_index(drop=True), "a wrong rank"),
    ],
)
def test_what_is_wrong_is_named(
    export: Path, tmp_path: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    folder = tmp_path / "1"
    copytree(export, folder)
    path = folder / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(SourceUnavailable, match="differs from its manifest"):
        verify_export(folder)
    head = json.loads((folder / MANIFEST).read_text())
    del head["files"], head["made_at"]
    (folder / MANIFEST).unlink()
    write_manifest(folder, **head)
    with pytest.raises(SourceUnavailable, match=said):
        verify_export(folder)
