"""Lists made by other machines are those of this one, whichever of them come back."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pandas as pd
import pytest

from mfcore.config import ExportConfig, Levers, ListsConfig
from mfcore.data.ratings import Ratings
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.serving.shares import Machines, lists_by


@pytest.fixture(scope="module")
def model() -> Model:
    made = synthesize(30, 20, 300)
    ratings = Ratings.from_frame(made.frame, made.scale)
    return Model.of(ALS(n_factors=3, n_epochs=2, missing_weight=0.2).train(ratings), ratings, None)


@pytest.mark.parametrize("done", [0, 2, 5])
def test_what_others_leave_is_made_here(model: Model, done: int, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    def run(work: str, parts: list[dict[str, Any]]) -> None:
        asked.extend(parts)
        for part in parts[:done]:
            resolve_name(work)(part)

    options = {"levers": Levers(diversity=0.3), "min_ratings": 3, "exclude_items": ["1"], "n_reasons": 1}
    frames = list(lists_by(Machines(tmp_path, run), model, 4, 7, **options))
    assert [part["users"] for part in asked] == [[0, 7], [7, 14], [14, 21], [21, 28], [28, 35]]
    assert len(frames) == 5 and not list(tmp_path.iterdir())
    whole = model.recommend(model.user_ids, 4, **options)
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), whole, check_dtype=False)


def test_an_export_by_others_is_that_of_this_machine(model: Model, tmp_path: Path) -> None:
    def run(work: str, parts: list[dict[str, Any]]) -> None:
        for part in parts:
            resolve_name(work)(part)

    config, lists = ExportConfig(n_recommendations=4, rows_per_file=40), ListsConfig(popularity_penalty=0.2)
    export_model(model, tmp_path / "alone", {"model_version": 1}, config, lists)
    helped = ExportConfig(**{**config.model_dump(), "engine": "cluster"})
    export_model(model, tmp_path / "helped", {"model_version": 1}, helped, lists, machines=Machines(tmp_path, run))
    files = {path.name: path.read_bytes() for path in (tmp_path / "alone").glob("*.parquet")}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "helped").glob("*.parquet")}
