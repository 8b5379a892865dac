"""The running server, in a thread: right answers, one sentence for what makes no sense, and never a status of 500."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.config import Levers
from mfcore.models.model import Model
from mfcore.serving.answers import Answers
from mfcore.serving.http import make_app
from mfcore.serving.live import Live
from mfcore.serving.traffic import MOST_BYTES
from tests.unit.serving.test_answers import model  # noqa: F401
from tests.unit.serving.test_live import Shelf

PATHS = ("/predict", "/recommend", "/similar", "/explain")


@contextmanager
def running(live: Live[Any]) -> Iterator[httpx.Client]:
    """A client of a server that answers from `live`."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(live), log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=120) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()


@pytest.fixture(scope="module")
def client(model: Model) -> Iterator[httpx.Client]:  # noqa: F811
    with running(Live(Shelf({3: model}, champion=3), seconds=60)) as client:
        assert client.get("/ready").status_code == 200, "nothing is accepted before there is a model"
        yield client


def test_each_question_has_its_answer(client: httpx.Client, model: Model) -> None:  # noqa: F811
    answers = Answers(model, 3)

    def ask(path: str, **body: Any) -> list[dict[str, Any]]:
        answer = client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model"], answer.json()["model_version"]) == ("mfcore-films", 3)
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    rated = ask("/predict", user_id="5", item_ids=[1, 2.0, "3", 10**30])
    assert [row["prediction"] for row in rated[:3]] == answers.ratings([5] * 3, [1, 2, 3])["prediction"].tolist()
    assert [row["known_item"] for row in rated] == [True, True, True, False]
    listed = ask("/recommend", user_id=5, k=4, exclude_items=["1"], min_ratings=2)
    wanted = answers.lists([5], 4, exclude_items=[1], min_ratings=2)
    assert [row["item_id"] for row in listed] == wanted["item_id"].tolist() and listed[0]["known_user"]
    new = ask("/recommend", ratings={"3": 5}, k=2)
    assert [row["item_id"] for row in new] == answers.for_new({3: 5}).lists(["new"], 2)["item_id"].tolist()
    assert not new[0]["known_user"] and len(ask("/recommend", user_id=5, k=10**9, exclude_rated=False)) == 30
    levers = Levers(diversity=0.5, popularity_penalty=1)
    pulled = ask("/recommend", user_id=5, k=4, levers={"diversity": 0.5, "popularity_penalty": 1})
    assert [row["item_id"] for row in pulled] == model.recommend(5, 4, levers=levers)["item_id"].tolist()
    assert [row["item_id"] for row in pulled] != answers.lists([5], 4)["item_id"].tolist()
    alike = ask("/similar", item_id=3, k=2)
    assert [row["other_item_id"] for row in alike] == answers.similar([3], 2)["other_item_id"].tolist()
    reasons = ask("/explain", user_id=5, item_id=3, k=2)
    assert [row["rated_item_id"] for row in reasons] == answers.reasons([5], [3], 2)["rated_item_id"].tolist()


def test_the_server_tells_how_it_is(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"model": "mfcore-films", "model_version": 3, "problem": None}
    assert set(PATHS) < set(client.get("/openapi.json").json()["paths"]) and client.get("/docs").status_code == 200
    client.post("/similar", json={"item_id": 3})
    client.get("/no/such/page")
    text = client.get("/metrics").text
    assert 'mfcore_requests_total{path="/similar",status="200"}' in text and "/no/such" not in text
    assert "mfcore_model_version 3.0" in text and 'mfcore_request_seconds_bucket{le="0.003"' in text


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/recommend", '{"user_id": 5, "k": 0}', "k: Input should be greater than or equal to 1."),
        ("/recommend", '{"user_id": 5, "k": "a"}', "k: Input should be a valid integer"),
        ("/recommend", '{"user_id": 5, "min_ratings": 99999}', "none of the 30 items has 99,999 ratings or more: "),
        ("/recommend", '{"user_id": 5, "levers": {"min_ratings": 2}}', "levers: Extra inputs are not permitted."),
        ("/recommend", "{}", "give a user_id, or the ratings of somebody new."),
        ("/recommend", '{"user_id": NaN}', "user_id: "),
        ("/recommend", '{"user_id": "\\ud800"}', "user_id: "),
        ("/recommend", '{"user_id": 5, "\\ud800": 1}', "a valid string"),
        ("/recommend", '{"ratings": {"\\ud800": 3}}', "no item has the id \\ud800: "),
        (
            "/recommend",
            json.dumps({"ratings": {f"x{n}": 3 for n in range(900)}}),
            "x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 890 more: ",
        ),
        ("/recommend", '{"user_id": 5, "levers": {"\\ud800": 1}}', "levers: "),
        ("/recommend", '{"user_id": 5, "levers": {"where": ["\\ud800"]}}', "'\\ud800' is no condition"),
        ("/predict", '{"user_id": 5, "item_ids": ["\\ud800"]}', "item_ids: "),
        ("/recommend", f'{{"user_id": {"9" * 5000}}}', "parsing the body"),
        ("/recommend", "[" * 100_000, "parsing the body"),
        ("/recommend", "\xff\x00", ""),
        ("/recommend", '{"ratings": {"3": 9}}', "the rating of item '3' is 9.0; give a number from 1 to 5."),
        ("/recommend", '{"ratings": {"none": 3}}', "no item has the id none"),
        ("/predict", '{"user_id": 5}', "item_ids: Field required."),
        ("/similar", '{"item_id": 5, "other": 1}', "other: Extra inputs are not permitted."),
        ("/explain", '{"user_id": [5], "item_id": 5}', "user_id: "),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(client: httpx.Client, path: str, body: str, says: str) -> None:
    answer = client.post(path, content=body.encode("latin-1"), headers={"content-type": "application/json"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert says in error and "\n" not in error and len(error) < 300


def test_other_requests_are_refused_too(client: httpx.Client) -> None:
    assert client.get("/recommend").status_code == 405 and client.get("/nowhere").json() == {"error": "Not Found."}
    assert client.post("/recommend", content="user_id=5", headers={"content-type": "text/csv"}).status_code == 400
    large = client.post("/recommend", content=b" " * (MOST_BYTES + 1))
    assert large.status_code == 413 and "bytes" in large.json()["error"]
    in_parts = client.post("/recommend", content=iter([b" " * MOST_BYTES, b" "]))
    assert in_parts.status_code == 413
    assert client.get("/health").status_code == 200


def test_without_a_model_it_is_not_ready() -> None:
    with running(Live(Shelf({}, champion=None), seconds=60)) as client:
        assert client.get("/health").status_code == 200
        for answer in (client.get("/ready"), client.post("/similar", json={"item_id": 3})):
            assert answer.status_code == 503 and answer.json()["error"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([5, "5", 3.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = ("user_id", "item_id", "item_ids", "ratings", "k", "exclude_rated", "exclude_items", "only_items")
LIKELY = st.fixed_dictionaries(
    {},
    optional={
        **{name: VALUES for name in (*NAMES, "min_ratings")},
        "ratings": VALUES | st.dictionaries(st.sampled_from(["1", "2", "3.0"]), st.floats(0, 6), max_size=3),
        "item_ids": VALUES | st.lists(st.integers(0, 40) | st.text(max_size=2), max_size=5),
    },
)


def fuzz(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400), (path, body, answer.text)
    assert answer.json()["error" if answer.status_code == 400 else "rows"] is not None


@settings(max_examples=40)
@given(path=st.sampled_from(PATHS), body=LIKELY | VALUES)
def test_no_json_is_too_much_for_it(client: httpx.Client, path: str, body: Any) -> None:
    fuzz(client, path, json.dumps(body).encode())


@settings(max_examples=40)
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=60))
def test_no_bytes_are_too_much_for_it(client: httpx.Client, path: str, body: bytes) -> None:
    fuzz(client, path, body)


@pytest.mark.slow
@settings(max_examples=3000)
@given(path=st.sampled_from(PATHS), body=LIKELY | VALUES)
def test_no_json_is_too_much_for_it_at_length(client: httpx.Client, path: str, body: Any) -> None:
    fuzz(client, path, json.dumps(body).encode())
