"""Items nobody rated: factors by the regression as its formula has it, and one model that does all it did before."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.models import ALS, BPMF, EASE, PMF, Blend, ItemKNN, Recommender
from mfcore.models.cold_items import ItemRegression, features_of, score_on_held_out, with_unrated
from mfcore.models.model import Model

N_ITEMS, N_COLD = 40, 6


def films(text_ids: bool = False) -> tuple[Ratings, pd.DataFrame]:
    """Ratings that follow an item's genre, of the first 40 of 46 items; the rows of the table in no order."""
    rng = np.random.default_rng(0)
    ids = np.arange(10, 10 + N_ITEMS + N_COLD) * 3 % 139
    genres = np.where(np.arange(len(ids)) % 2, "Drama", "Horror|Comedy")
    pairs = pd.DataFrame([(user, item) for user in range(80) for item in rng.permutation(N_ITEMS)[:15]])
    pairs.columns = pd.Index(["user_id", "place"])
    likes_drama, is_drama = pairs["user_id"] % 2 == 0, pairs["place"] % 2 == 1
    noise = rng.integers(0, 2, len(pairs))
    pairs["rating"] = np.where(likes_drama == is_drama, 5.0, 2.0) - noise
    names = pd.Series(ids)
    names = names.map("x{:03d}".format) if text_ids else names
    pairs["item_id"] = names[pairs["place"]].to_numpy()
    items = pd.DataFrame({"item_id": names, "title": [f"Film {n} (19{n + 50})" for n in range(len(ids))]})
    items = items.assign(genres=genres).sample(frac=1, random_state=1)
    return Ratings.from_frame(pairs.drop(columns="place"), Scale(1, 5, 1)), items


def test_the_regression_is_the_weighted_ridge_of_its_formula() -> None:
    rng = np.random.default_rng(1)
    features, rows = rng.normal(size=(9, 2)), rng.normal(size=(9, 3)).astype(np.float32)
    n_ratings = np.array([3, 0, 50, 20, 7, 0, 1, 400, 12])
    found = ItemRegression.of(features, n_ratings, 4.0).filled(rows)
    warm = n_ratings > 0
    weights = n_ratings[warm] / (n_ratings[warm] + 20)
    means = [np.average(one[warm], axis=0, weights=weights) for one in (features, rows)]
    # Ridge as least squares of more equations: √λ B = 0 beside √w (f − f̄) B = √w (t − t̄).
    left = np.vstack([np.sqrt(weights)[:, None] * (features[warm] - means[0]), 2 * np.eye(2)])
    right = np.vstack([np.sqrt(weights)[:, None] * (rows[warm] - means[1]), np.zeros((2, 3))])
    slopes = np.linalg.lstsq(left, right)[0]
    assert np.array_equal(found[warm], rows[warm])
    assert found[~warm] == pytest.approx(means[1] + (features[~warm] - means[0]) @ slopes, abs=1e-6)


def test_features_are_genres_year_and_numbers_with_means_for_what_is_missing() -> None:
    table = pd.DataFrame(
        {
            "title": ["A (1990)", "B", "C (1994)"],
            "genres": ["War", None, "War|Drama"],
            "embedding_1": [1.0, np.nan, 3.0],
            "constant": 7,
            "note": "x",
        }
    )
    found = features_of(table)
    assert found.mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert found[1, 2] == found[1, 3] == pytest.approx(0)
    assert found[:, 0] == pytest.approx([-1 / 3, -1 / 3, 2 / 3])
    assert features_of(table.assign(year=[2000, 2001, 2002])).shape == (3, 4), "a column of years goes before titles"
    assert features_of(pd.DataFrame({"title": ["A", "B"]})).shape == (2, 0)


HEADS = [
    (PMF(n_factors=3), ALS(n_factors=3, missing_weight=0.2)),
    (BPMF(n_factors=2, n_epochs=12, burn_in=4), EASE(n_factors=5)),
    (Blend(members=(ALS(n_factors=2), ItemKNN(n_factors=4))), None),
]


@pytest.mark.parametrize(("rating", "ranking"), HEADS, ids=["PMF, ALS", "BPMF, EASE", "blend"])
@pytest.mark.parametrize("text_ids", [False, True], ids=["numbers", "text"])
def test_what_was_known_stays_and_cold_items_are_known_for_that(
    rating: Recommender, ranking: Recommender | None, text_ids: bool, tmp_path: Path
) -> None:
    ratings, items = films(text_ids)
    model = Model.of(rating.train(ratings), ratings, items, ranking and ranking.train(ratings))
    with_unrated(model, items, 1.0).save(tmp_path / "model")
    whole = Model.load(tmp_path / "model")
    assert (len(model.item_ids), len(whole.item_ids)) == (N_ITEMS, N_ITEMS + N_COLD)
    warm, users = model.item_ids, model.user_ids[:7]
    before = model.recommend(users, 9, n_reasons=2)
    after = whole.recommend(users, 9, n_reasons=2, only_items=warm)
    pd.testing.assert_frame_equal(after, before)
    assert whole.recommend(users, 9, min_ratings=1)["item_id"].tolist() == before["item_id"].tolist()
    rated = {warm[3]: 5.0, warm[8]: 1.0}
    assert whole.fold_in(rated).predict("new", warm) == pytest.approx(model.fold_in(rated).predict("new", warm))

    everything = whole.recommend(users, N_ITEMS + N_COLD)
    cold = everything[~everything["known_item"]]
    assert len(cold) == N_COLD * len(users) and not set(cold["item_id"]) & set(warm)
    assert not whole.knows_items(cold["item_id"]).any() and whole.knows_items(warm).all()
    assert (whole.factors.predict(np.full(N_COLD, 0, np.int32), np.flatnonzero(whole.n_ratings == 0)) > 0).all()
    assert whole.similar(cold["item_id"].iloc[0], 5)["item_id"].size == 5
    assert set(cold["title"]) <= set(items["title"])


def test_who_likes_a_genre_is_predicted_to_like_its_new_items() -> None:
    ratings, items = films()
    model = with_unrated(Model.of(ALS(n_factors=4).train(ratings), ratings, items), items, 1.0)
    cold = items[~items["item_id"].isin(ratings.item_ids)]
    for user in (0, 1):  # one likes Drama, one does not
        predicted = pd.Series(model.predict(user, cold["item_id"]), index=cold["genres"])
        drama, horror = predicted["Drama"].mean(), predicted["Horror|Comedy"].mean()
        assert drama > horror + 1.5 if user == 0 else horror > drama + 1.5


def test_the_score_on_held_out_items_is_better_than_that_of_the_mean_and_the_same_again() -> None:
    ratings, items = films()
    found = score_on_held_out(ALS(n_factors=4), ratings, items, 1.0)
    assert found["cold_item_rmse"] < 0.75 * found["cold_item_rmse_of_mean"]
    assert found == score_on_held_out(ALS(n_factors=4), ratings, items, 1.0)
    unknown = score_on_held_out(ALS(n_factors=4), ratings, items[["item_id"]].assign(title="?"), 1.0)
    assert unknown["cold_item_rmse"] == unknown["cold_item_rmse_of_mean"] == found["cold_item_rmse_of_mean"]


def test_ids_of_another_type_are_left_out() -> None:
    ratings, items = films()
    model = Model.of(ALS(n_factors=2).train(ratings), ratings, None)
    strange = pd.DataFrame({"item_id": ["x7", "99999", str(2**70), None], "title": ["a", "b", "c", "d"]})
    whole = with_unrated(model, pd.concat([items.astype({"item_id": object}), strange]), 1.0)
    assert set(whole.item_ids) == {*items["item_id"], 99999}
