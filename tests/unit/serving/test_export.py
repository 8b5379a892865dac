from pathlib import Path

import numpy as np
import pytest

from mfcore import load_export
from mfcore.config import ExportConfig
from mfcore.errors import SourceUnavailable
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
