"""Tables of an export in each format: the same numbers and ids come back, and the same checks hold."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mfcore import load_export
from mfcore.config import ExportConfig, PipelineConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.serving.tables import parts_of, read_table
from mfcore.serving.verify import verify_export
from mfcore.storage.artifacts import MANIFEST, damage, read_manifest, write_manifest

TABLES = {"user_factors", "item_factors", "ranking_user_factors", "ranking_item_factors", "recommendations"}
TABLES = TABLES | {"similar_items"}
NUMBERS = {"user_id", "rank", "item_id", "score", "predicted_rating", "known_item", "model_version"}
TITLES = ['He said "no", twice', "Two\nlines", "007", "ÆØÅ, the film", ""]


@pytest.fixture(scope="module", params=["text", "numbers"])
def model(request: pytest.FixtureRequest) -> Model:
    """Of items whose ids are numbers, or text that looks like numbers, with titles that CSV has to quote."""
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame({"user_id": np.repeat(np.arange(12), 10), "item_id": np.tile(np.arange(20), 6) % 17})
    pairs = pairs.drop_duplicates().assign(rating=lambda frame: rng.integers(1, 6, len(frame)).astype(float))
    if request.param == "text":
        pairs = pairs.assign(item_id=pairs["item_id"].map("{:03d}".format))
    ratings = Ratings.from_frame(pairs, Scale(1, 5, 1))
    heads = [ALS(n_factors=3, n_epochs=2, missing_weight=weight).train(ratings) for weight in (0.0, 0.2)]
    titles = [TITLES[code % len(TITLES)] for code in range(ratings.n_items)]
    return Model.of(heads[0], ratings, pd.DataFrame({"item_id": ratings.item_ids, "title": titles}), heads[1])


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
def test_each_format_gives_back_the_factors_and_passes_the_checks(model: Model, kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    config = ExportConfig(format=kind, n_recommendations=5)
    assert export_model(model, folder, {"model_version": 3}, config)
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for name in TABLES} | {"manifest.json"}
    for head, made in (("rating", model.factors), ("ranking", model.lists)):
        loaded = load_export(folder, head)
        for name in ("user_bias", "item_bias", "user_factors", "item_factors", "user_ids", "item_ids"):
            own, expected = getattr(loaded, name), getattr(made, name)
            assert own.dtype == expected.dtype and np.array_equal(own, expected), name
    rows = verify_export(folder)
    assert rows[f"recommendations.{kind}"] == len(model.recommend(model.user_ids, 5))
    assert not export_model(model, folder, {"model_version": 3}, config), "the same again"


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz"])
def test_more_rows_than_a_file_may_have_are_several_files_by_users(model: Model, kind: str, tmp_path: Path) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    export_model(model, one, {}, ExportConfig(format=kind, n_recommendations=5))
    export_model(model, several, {}, ExportConfig(format=kind, n_recommendations=5, rows_per_file=22))
    rows = verify_export(several)
    # Four users' lists fit in 22 rows, and there are twelve.
    files = [f"recommendations-{number:05d}.{kind}" for number in (1, 2, 3)]
    assert [name for name in rows if name.startswith("recommendations")] == files
    assert sorted(path.name for path in several.glob("recommendations*")) == files
    assert max(rows[name] for name in files) <= 22
    whole, parts = read_table(one, "recommendations"), [columns for columns, _ in parts_of(several, "recommendations")]
    users = [set(part["user_id"].tolist()) for part in parts]
    assert not users[0] & users[1] and not users[1] & users[2]
    for name, values in read_table(several, "recommendations").items():
        assert pd.Series(values).equals(pd.Series(whole[name])), name
    shutil.copy(several / files[0], several / files[1])
    assert damage(several) is not None, "the manifest has a checksum of each file"


def test_a_user_with_lists_in_two_files_is_found(model: Model, tmp_path: Path) -> None:
    export_model(model, tmp_path / "1", {}, ExportConfig(n_recommendations=5, rows_per_file=30))
    shutil.copy(tmp_path / "1" / "recommendations-00001.parquet", tmp_path / "1" / "recommendations-00002.parquet")
    head = read_manifest(tmp_path / "1")
    del head["files"], head["made_at"]
    head["rows"]["recommendations-00002.parquet"] = head["rows"]["recommendations-00001.parquet"]
    (tmp_path / "1" / MANIFEST).unlink()
    write_manifest(tmp_path / "1", **head)
    with pytest.raises(SourceUnavailable, match=r"recommendations-00002.parquet has a user who has a list in a file"):
        verify_export(tmp_path / "1")


def test_csv_and_parquet_hold_all_columns_and_arrays_numbers_and_ids(model: Model, tmp_path: Path) -> None:
    export_model(model, tmp_path / "all", {"model_version": 3}, ExportConfig(format="npz, csv,parquet"))
    lists = pd.read_parquet(tmp_path / "all" / "recommendations.parquet")
    types = {"item_id": lists["item_id"].dtype, "title": str}
    text = pd.read_csv(tmp_path / "all" / "recommendations.csv", dtype=types, keep_default_na=False)
    assert list(text) == list(lists)
    assert text["item_id"].tolist() == lists["item_id"].tolist()
    assert text["title"].tolist() == lists["title"].tolist()
    assert np.array_equal(text["score"].to_numpy(np.float32), lists["score"].to_numpy())
    with np.load(tmp_path / "all" / "recommendations.npz", allow_pickle=False) as arrays:
        assert set(arrays) == NUMBERS
        assert np.array_equal(arrays["item_id"], lists["item_id"].to_numpy())
    items = pd.read_csv(tmp_path / "all" / "item_factors.csv")
    assert list(items) == ["item_id", "bias", "factor_1", "factor_2", "factor_3", "title", "known_item"]
    assert damage(tmp_path / "all") is None


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_file_that_holds_something_else_is_named(model: Model, kind: str, tmp_path: Path) -> None:
    export_model(model, tmp_path / "one", {}, ExportConfig(format=kind))
    path = tmp_path / "one" / f"item_factors.{kind}"
    path.write_bytes(b"\x00nothing")
    with pytest.raises(SourceUnavailable, match=rf"{path.name} differs"):
        load_export(tmp_path / "one")
    with pytest.raises(SourceUnavailable, match=rf"{path.name} holds no table"):
        read_table(tmp_path / "one", "item_factors")
    path.unlink()
    with pytest.raises(SourceUnavailable, match="has no table item_factors"):
        read_table(tmp_path / "one", "item_factors")


def test_formats_are_refused_that_are_not_known_or_leave_a_database_empty() -> None:
    with pytest.raises(UsageError, match=r"export\.format.*'parquet', 'csv' or 'npz'"):
        PipelineConfig.load(overrides=["export.format=parquet,xml"])
    with pytest.raises(UsageError, match="name parquet in format as well"):
        PipelineConfig.load(overrides=["export.format=csv", "export.to=sqlite:///tables.db"])
