"""What people ask a model: the right rows, the same ids however they are written, and bounded work."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import UsageError
from mfcore.models import ALS, EASE
from mfcore.models.model import Model
from mfcore.serving.answers import Answers


@pytest.fixture(scope="module")
def model() -> Model:
    ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    return Model.of(ALS(n_factors=4).train(ratings), ratings, None, EASE(n_factors=8).train(ratings))


class Frames:
    """Answers as frames, which read better here."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: pd.DataFrame(getattr(self.answers, name)(*args, **kwargs))

    def for_new(self, ratings: Any) -> "Frames":
        return Frames(self.answers.for_new(ratings))


@pytest.fixture(scope="module")
def answers(model: Model) -> Frames:
    return Frames(Answers(model, 7))


def test_lists_are_by_the_ranking_head_and_ratings_by_the_rating_head(model: Model, answers: Frames) -> None:
    users = model.user_ids[:3]
    listed = answers.lists(users, 4, min_ratings=5)
    pd.testing.assert_frame_equal(listed.drop(columns="model_version"), model.recommend(users, 4, min_ratings=5))
    rated = answers.ratings(listed["user_id"], listed["item_id"])
    assert rated["prediction"].to_numpy() == pytest.approx(listed["predicted_rating"].to_numpy())
    signs = pd.concat([listed, rated])[["known_user", "known_item", "model_version"]]
    assert signs.drop_duplicates().to_numpy().tolist() == [[True, True, 7]]


@pytest.mark.parametrize("written", [5, 5.0, "5", " 5", np.int8(5), np.float32(5)])
def test_a_whole_number_is_the_same_id_however_it_is_written(answers: Frames, written: Any) -> None:
    asked = answers.lists([written], 3)
    pd.testing.assert_frame_equal(asked, answers.lists([5], 3))
    assert answers.ratings([written], [written])[["known_user", "known_item"]].to_numpy().all()
    without = answers.lists([5], 30, exclude_rated=False, exclude_items=[written])
    assert len(without) == 29 and 5 not in without["item_id"].tolist()


@pytest.mark.parametrize("unknown", ["05", "5a", 5.5, None, float("nan"), 10**30, ""])
def test_anything_else_is_somebody_unknown(answers: Frames, unknown: Any) -> None:
    assert not answers.lists([unknown], 3)["known_user"].any()
    assert not answers.ratings([unknown], [unknown])[["known_user", "known_item"]].to_numpy().any()
    assert answers.similar([unknown]).empty and answers.reasons([unknown], [5]).empty
    assert answers.reasons([5], [unknown]).empty


def test_leading_zeros_of_text_count() -> None:
    frame = pd.DataFrame({"user_id": ["007", "7", "007"], "item_id": ["a", "b", "b"], "rating": [5, 1, 3]})
    answers = Frames(Answers(ALS(n_factors=1).fit(frame)))
    assert answers.ratings(["007", "7", 7, "07"], ["a"] * 4)["known_user"].tolist() == [True, True, True, False]
    assert answers.lists(["007"], 1, exclude_items=["b"]).empty
    assert answers.lists(["7"], 1)["item_id"].tolist() == ["a"]


def test_somebody_new_is_folded_into_both_heads(model: Model, answers: Frames) -> None:
    own = {str(model.item_ids[3]): 5, float(model.item_ids[8]): 1.0}
    folded = model.fold_in(own)
    new = answers.for_new(own)
    listed = new.lists(["zoe", "max"], 3)
    wanted = folded.recommend(["new"], 3)
    for name in ("zoe", "max"):
        rows = listed[listed["user_id"] == name]
        assert rows["item_id"].tolist() == wanted["item_id"].tolist()
        assert rows["score"].tolist() == wanted["score"].tolist()
        assert not set(rows["item_id"]) & {model.item_ids[3], model.item_ids[8]}
    assert not listed["known_user"].any()
    rated = new.ratings(["zoe"] * 3, listed["item_id"][:3])
    assert rated["prediction"].tolist() == pytest.approx(folded.predict("new", listed["item_id"][:3]).tolist())
    reasons = new.reasons(["zoe"], [listed["item_id"][0]])
    assert not rated["known_user"].any() and len(reasons) == 2 and not reasons["known_user"].any()
    assert not folded.knows("new").any() and not wanted["known_user"].any()


def test_reasons_are_the_rated_items_and_their_share(model: Model, answers: Frames) -> None:
    own = {model.item_ids[code]: rating for code, rating in ((3, 5), (8, 1), (12, 4))}
    folded = model.fold_in(own).lists
    reasons = answers.for_new(own).reasons(["zoe", "zoe"], [model.item_ids[20], model.item_ids[3]])
    for code, rows in zip((20, 3), (reasons[:3], reasons[3:]), strict=True):
        assert dict(zip(rows["rated_item_id"], rows["rating"], strict=True)) == own
        assert rows["contribution"].is_monotonic_decreasing and rows["rank"].tolist() == [1, 2, 3]
        product = folded.user_factors[0].astype(np.float64) @ folded.item_factors[code]
        assert rows["contribution"].sum() == pytest.approx(product, abs=1e-5)
    known = answers.reasons([model.user_ids[0]], [model.item_ids[20]], 2)
    assert len(known) == 2 and known["known_user"].all()
    assert set(known["rated_item_id"]) <= set(model.item_ids[model.rated.rows(np.array([0], np.int32))[1]])


def test_nothing_asked_is_nothing_answered(answers: Frames) -> None:
    nobody: list[Any] = []
    tables = [answers.ratings([], []), answers.lists([]), answers.similar([]), answers.reasons([], [])]
    for table, asked in zip(tables, ([5, 5], [5], [5], [5, 5]), strict=True):
        assert table.empty, asked
    assert list(tables[0]) == list(answers.ratings([5], [5])) and list(tables[1]) == list(answers.lists([5]))
    assert list(tables[2]) == list(answers.similar([5])) and list(tables[3]) == list(answers.reasons([5], [5]))
    assert answers.lists([5], 3, only_items=nobody).empty


def test_a_length_is_no_more_than_the_catalog(answers: Frames) -> None:
    assert len(answers.lists([5], 10**30, exclude_rated=False)) == 30
    assert len(answers.similar([5], 10**9)) < 30


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda one: one.lists([5], 0), "k is 0; give a whole number from 1 on."),
        (lambda one: one.lists([5], -1), "k is -1"),
        (lambda one: one.similar([5], "a"), "k is 'a'"),
        (lambda one: one.reasons([5], [5], True), "k is True"),
        (lambda one: one.lists([5], 2.5), "k is 2.5"),
        (lambda one: one.lists([5], min_ratings=-1), "min_ratings is -1; give a whole number from 0 on."),
        (lambda one: one.lists([5], only_items="5"), "only_items is '5'; give a list"),
        (lambda one: one.lists([5], exclude_items=[[5]]), "an id is of type list"),
        (lambda one: one.lists([[5]]), "an id is of type list"),
        (lambda one: one.lists([True]), "of type bool"),
        (lambda one: one.lists([5] * 100_000, 10**9), "3,000,000 rows in the answer are more than the 2,000,000"),
        (lambda one: one.reasons([5] * 1001, [5] * 1001), "1,001 reasons are more than"),
        (lambda one: one.lists([5], exclude_items=list(range(10_001))), "10,001 exclude_items are more"),
        (lambda one: one.for_new([5]), "give a mapping from item ids to ratings"),
        (lambda one: one.for_new({5: "x"}), "the rating of item 5 is 'x'; give a number from 1 to 5."),
        (lambda one: one.for_new({5: 10**400}), "the rating of item 5 is 1000"),
        (lambda one: one.for_new({5: float("nan")}), "the rating of item 5 is nan"),
        (lambda one: one.for_new({10**9: 3}), "no item has the id 1000000000"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(answers: Frames, ask: Any, says: str) -> None:
    with pytest.raises(Exception) as caught:
        ask(answers)
    message = str(caught.value)
    assert says in message and "\n" not in message and len(message) < 200
    assert isinstance(caught.value, UsageError) or "ids" in message or "an id" in message


def test_a_version_that_keeps_no_ratings_says_so(model: Model) -> None:
    from dataclasses import replace

    old = replace(model, rated=replace(model.rated, values=None))
    with pytest.raises(UsageError, match="keeps no users' ratings"):
        Answers(old).reasons([5], [5])
