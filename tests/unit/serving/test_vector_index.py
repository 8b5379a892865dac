"""The index for approximate search: it finds the exact lists' items, is the same each time, and is not needed."""

from pathlib import Path

import numpy as np
import pytest

from mfcore.config import ExportConfig
from mfcore.errors import UsageError
from mfcore.models import ALS
from mfcore.models.lists import top_n
from mfcore.models.model import Model
from mfcore.serving import vector_index
from mfcore.serving.export import export_model
from mfcore.serving.vector_index import INDEX
from mfcore.serving.verify import verify_export
from mfcore.storage.artifacts import damage, read_manifest
from tests.contract.synthetic import synthetic_ratings


@pytest.fixture(scope="module")
def model() -> Model:
    ratings, _ = synthetic_ratings(n_users=120, n_items=400)
    ranking = ALS(n_factors=8, n_epochs=3, missing_weight=0.2, popularity_weight=0.1).train(ratings)
    return Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None, ranking)


def test_without_faiss_it_is_said_before_anything_is_written(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install mfcore\[index\]"):
        export_model(model, tmp_path / "1", {}, ExportConfig(index=True))
    assert not (tmp_path / "1").exists()
    assert export_model(model, tmp_path / "1", {}, ExportConfig())


@pytest.mark.slow
def test_what_the_index_finds_is_what_the_manifest_says(model: Model, tmp_path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    for name in "12":
        export_model(model, tmp_path / name, {}, ExportConfig(index=True, n_recommendations=10))
    folder, factors = tmp_path / "1", model.lists
    said = read_manifest(folder)["index"]
    assert (said["file"], said["k"], said["n_users"]) == (INDEX, 10, 120)
    assert (folder / INDEX).read_bytes() == (tmp_path / "2" / INDEX).read_bytes()
    verify_export(folder)
    index = faiss.read_index(str(folder / INDEX))
    exact, scores = top_n(factors, np.arange(120, dtype=np.int32), 10)
    queries = np.column_stack([factors.user_factors, np.ones(120, np.float32)])
    found_scores, found = index.search(queries, 10)
    hits = np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)])
    assert hits > 0.9 and said["recall"] > 0.9
    best = exact[:, 0] == found[:, 0]
    expected = scores[best, 0] - np.float32(factors.global_mean) - factors.user_bias[best]
    assert found_scores[best, 0] == pytest.approx(expected, abs=1e-4)
    with (folder / INDEX).open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    assert INDEX in str(damage(folder))
