"""The table of levers: the evaluator's own figures without any, and each lever's effect with the right sign."""

import numpy as np
import pytest

from mfcore.config import ListsConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.evaluation.levers import cost_of_levers, levers_tried
from mfcore.metrics import Evaluator
from mfcore.models import ALS
from mfcore.models.model import Model


def test_each_lever_is_measured_on_the_same_test_ratings() -> None:
    ratings = Ratings.from_frame(synthesize(150, 80, 5000).frame, Scale(1, 5, 1))
    evaluator = Evaluator(ratings, split(ratings))
    factors = ALS(n_factors=6, missing_weight=0.2).train(evaluator.known)
    model = Model.of(factors, evaluator.known, None)
    tried = levers_tried(ListsConfig(popularity_penalty=3.0), has_genres=False)
    rows = {row["lever"]: row for row in cost_of_levers(model, evaluator, tried)}
    assert list(rows) == ["none", *tried]
    plain = {one.metric: one.value for one in evaluator.measure(factors, None).measures if one.slice == "all"}
    for name in ("ndcg", "coverage", "diversity", "novelty", "popularity_lift"):
        assert rows["none"][name] == pytest.approx(plain[f"{name}_at_10"])
    assert (rows["none"]["cost"], rows["none"]["length"]) == (0, 10)
    for row in rows.values():
        assert row["cost"] == pytest.approx(rows["none"]["ndcg"] - row["ndcg"])
        assert row["low"] is None or row["low"] <= row["cost"] <= row["high"]
        assert np.isfinite(row["diversity"])
    strong = rows["as configured"]
    assert strong["low"] is not None
    weak, none = rows["popularity_penalty 0.3"], rows["none"]
    assert strong["popularity_lift"] < weak["popularity_lift"] < none["popularity_lift"]
    assert strong["novelty"] > weak["novelty"] > none["novelty"]


def test_caution_is_tried_where_there_are_draws() -> None:
    plain, drawn = levers_tried(ListsConfig(), has_genres=True), levers_tried(ListsConfig(), True, has_draws=True)
    assert list(drawn)[-2:] == ["caution 0.5", "caution 1"]
    assert list(drawn)[:-2] == list(plain)
