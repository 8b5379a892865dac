"""The pyfunc: one signature for all questions, each row with its own, and wrong requests refused in one sentence."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from threadpoolctl import threadpool_info, threadpool_limits

from mfcore.config import Levers
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving.answers import Answers
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from tests.unit.serving.test_answers import Frames
from tests.unit.tracking.conftest import settings_in


@pytest.fixture(scope="module")
def model() -> Model:
    ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    return Model.of(ALS(n_factors=4).train(ratings), ratings, None)


@pytest.fixture(scope="module")
def served(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The second version, as anybody loads it."""
    settings = settings_in(tmp_path_factory.mktemp("served"))
    registry = Registry(settings, "films")
    for n in (1, 2):
        with Experiment(settings, "films").run("register") as run:
            uri = log_model(model, run, "als", {}, {})
        registry.add(uri, run, recipes={}, fingerprint=str(n), data="d", split="s", metrics={}, description="")
    registry.promote(2)
    return mlflow.pyfunc.load_model("models:/mfcore-films@champion")


@pytest.fixture(scope="module")
def answers(model: Model) -> Frames:
    return Frames(Answers(model, 2))


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_one_signature_asks_for_the_user_alone(served: Any) -> None:
    signature = served.metadata.signature
    assert signature.inputs.required_input_names() == ["user_id"]
    assert signature.inputs.optional_input_names() == ["item_id", "ratings", "exclude_items", "only_items"]
    assert [one.name for one in signature.params] == ["answer", "k", "exclude_rated", "min_ratings", "levers"]


def test_each_question_has_its_answer(served: Any, answers: Frames) -> None:
    equal = pd.testing.assert_frame_equal
    equal(served.predict(frame(user_id=[5, 6])), answers.lists([5, 6]))
    equal(
        served.predict(frame(user_id=["5"]), params={"k": 4, "exclude_rated": False, "min_ratings": 9}),
        answers.lists([5], 4, exclude_rated=False, min_ratings=9),
    )
    equal(
        served.predict(frame(user_id=[5]), params={"k": 4, "levers": '{"diversity": 0.5}'}),
        answers.lists([5], 4, levers=Levers(diversity=0.5)),
    )
    rated = served.predict(pd.DataFrame({"user_id": [5.0, 6.5], "item_id": [3, 4]}, index=[8, 2]))
    assert rated.index.tolist() == [8, 2] and rated["known_user"].tolist() == [True, False]
    assert rated["prediction"].tolist() == answers.ratings([5, 6.5], [3, 4])["prediction"].tolist()
    equal(
        served.predict(frame(user_id=[None], item_id=["3"]), params={"answer": "similar", "k": 3}),
        answers.similar([3], 3),
    )
    equal(
        served.predict(frame(user_id=[5], item_id=[3]), params={"answer": "reasons", "k": 3}),
        answers.reasons([5], [3], 3),
    )


def test_each_row_may_have_ratings_and_filters_of_its_own(served: Any, answers: Frames) -> None:
    own = {"3": 5, "4": 1}
    asked = frame(
        user_id=[5, "zoe", 6, 6, 7],
        ratings=[None, own, None, None, None],
        exclude_items=[None, None, ["1", 2.0], None, None],
        only_items=[None, None, None, np.array([1, 2, 3]), None],
    )
    expected = [
        answers.lists([5], 3, exclude_rated=False),
        answers.for_new(own).lists(["zoe"], 3, exclude_rated=False),
        answers.lists([6], 3, exclude_rated=False, exclude_items=[1, 2]),
        answers.lists([6], 3, exclude_rated=False, only_items=[1, 2, 3]),
        answers.lists([7], 3, exclude_rated=False),
    ]
    found = served.predict(asked, params={"k": 3, "exclude_rated": False})
    pd.testing.assert_frame_equal(found, pd.concat(expected, ignore_index=True))
    rated = served.predict(asked.assign(item_id=9))
    assert rated["prediction"].iloc[1] == answers.for_new(own).ratings(["zoe"], [9])["prediction"].iloc[0]
    assert rated["known_user"].tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("answer", ["ratings", "lists", "similar", "reasons"])
def test_an_empty_frame_has_an_empty_answer(served: Any, answer: str) -> None:
    found = served.predict(frame(user_id=[], item_id=[]), params={"answer": answer})
    whole = served.predict(frame(user_id=[5], item_id=[3]), params={"answer": answer})
    assert found.empty and list(found) == list(whole) and len(whole)


@pytest.mark.parametrize(
    ("asked", "params"),
    [
        *(({"user_id": [5]}, {"k": k}) for k in (0, -1, "a", True, 2.5, None, [3])),
        ({"user_id": [5]}, {"min_ratings": -1}),
        ({"user_id": [5]}, {"min_ratings": 10**9}),
        ({"user_id": [5]}, {"levers": '{"min_ratings": 2}'}),
        ({"user_id": [5]}, {"levers": '{"diversity": 2}'}),
        ({"user_id": [5]}, {"levers": "diversity"}),
        ({"user_id": [5]}, {"levers": '{"where": ["studio = X"]}'}),
        ({"user_id": [5]}, {"exclude_rated": "a"}),
        ({"user_id": [5]}, {"answer": "all"}),
        ({"user_id": [[5]]}, {}),
        ({"user_id": [{"a": 1}]}, {}),
        ({"user_id": [True]}, {}),
        ({"item_id": [5]}, {}),
        ({"nobody": [5]}, {}),
        ({"user_id": [5], "ratings": ["a lot"]}, {}),
        ({"user_id": [5], "ratings": [{"3": 99}]}, {}),
        ({"user_id": [5], "ratings": [{"no such": 3}]}, {}),
        ({"user_id": [5], "only_items": [3]}, {}),
        ({"user_id": [5] * 1001, "exclude_items": [[3]] * 1001}, {}),
        ({"user_id": [5] * 100_000}, {"k": 10**9}),
        ("text", {}),
        (None, {}),
    ],
)
def test_a_wrong_request_is_refused_with_status_400(served: Any, asked: Any, params: Any) -> None:
    with pytest.raises(MlflowException) as caught:
        served.predict(pd.DataFrame(asked) if isinstance(asked, dict) else asked, params=params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE" and caught.value.get_http_status_code() == 400


def test_a_hundred_thousand_rows_are_answered(served: Any, model: Model) -> None:
    many = frame(user_id=np.resize(model.user_ids, 100_000))
    lists = served.predict(many, params={"k": 2})
    assert lists["user_id"].nunique() == 40 and 190_000 < len(lists) <= 200_000
    assert len(served.predict(many.assign(item_id=3))) == 100_000
    assert len(served.predict(many.assign(user_id=np.nan), params={"k": 1})) == 100_000


def test_few_rows_are_answered_by_one_thread(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    class Watched(Answers):
        def lists(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(threads())
            return super().lists(*args, **kwargs)

    inside = served.unwrap_python_model()
    monkeypatch.setattr(inside, "answers", Watched(inside.answers.model, 2))
    with threadpool_limits(2, user_api="blas"):
        served.predict(frame(user_id=[5]))
        served.predict(frame(user_id=[5] * 200))
        with pytest.raises(MlflowException):
            served.predict(frame(user_id=[5]), params={"k": 0})
        assert threads() == {2} and seen == [{1}, {2}, {1}]


def test_the_model_asks_for_four_packages(served: Any) -> None:
    folder = Path(mlflow.artifacts.download_artifacts("models:/mfcore-films/2"))
    names = [line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()]
    assert names == ["mlflow", "numpy", "pandas", "scipy"]
