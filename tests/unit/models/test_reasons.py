"""Reasons: those that explain the score, in lists as for one item, and none that speak against it."""

import numpy as np
import pandas as pd
import pytest

from mfcore.errors import UsageError
from mfcore.models import ALS, BPMF, EASE, Recommender
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems
from mfcore.models.reasons import strongest
from tests.contract.synthetic import synthetic_ratings


@pytest.mark.parametrize("ranking", [ALS(n_factors=4, missing_weight=0.2), EASE(n_factors=8), BPMF(n_epochs=30)])
def test_a_lists_reasons_are_the_first_lines_of_its_explanations(ranking: Recommender) -> None:
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    model = Model.of(ALS(n_factors=2).train(ratings), ratings, None, ranking.train(ratings))
    users = [3, 11, "nobody"]
    lists = model.recommend(users, 5, n_reasons=2)
    plain = model.recommend(users, 5)
    assert lists[plain.columns].equals(plain)
    n_found = 0
    for _, row in lists.iterrows():
        why = model.explain(row["user_id"], row["item_id"], 2)
        why = why[why["contribution"] > 0]
        ids = [row[name] for name in ("because_1", "because_2") if pd.notna(row[name])]
        assert ids == why["rated_item_id"].tolist()
        titles = [row[name] for name in ("because_title_1", "because_title_2") if isinstance(row[name], str)]
        assert titles == why["title"].tolist()
        n_found += len(ids)
    assert n_found > 5
    assert lists.loc[~lists["known_user"], "because_1"].isna().all()


def test_what_speaks_against_an_item_is_no_reason() -> None:
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    factors, rated = ALS(n_factors=4).train(ratings), RatedItems.of(ratings)
    everything = np.arange(30, dtype=np.int32)[None]
    found = strongest(factors, rated, np.array([7], np.int32), everything, 40)[0]
    own = rated.items[rated.starts[7] : rated.starts[8]]
    values = ratings.values[ratings.users == 7]
    assert ratings.items[ratings.users == 7].tolist() == own.tolist()
    brought = factors.contributions(own, values, everything[0])
    for item, reasons in enumerate(found):
        assert set(reasons[reasons >= 0]) == set(own[brought[item] > 0])
    assert (brought < 0).any()


def test_a_model_without_its_users_ratings_says_so() -> None:
    ratings, _ = synthetic_ratings(n_users=10, n_items=8)
    rated = RatedItems.of(ratings)
    bare = RatedItems(starts=rated.starts, items=rated.items)
    model = Model(ALS(n_factors=2).train(ratings), np.array(list("abcdefgh"), object), bare, np.ones(8, np.int64))
    assert len(model.recommend([1], 2))
    with pytest.raises(UsageError, match="keeps no users' ratings"):
        model.recommend([1], 2, n_reasons=1)
