"""Posters, from a server with TMDB's documented answers: found, kept, and never an error or a wait without end."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfcore.report import posters as module
from mfcore.report.contents import Item
from mfcore.report.posters import Film, Posters
from tests.tmdb import KEY, PICTURE, TOKEN, Database, database

TOY_STORY, HEAT = Film(862, "Toy Story", 1995), Film(None, "Heat", 1995)


@pytest.fixture
def tmdb() -> Iterator[Database]:
    with database() as server:
        yield server


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    times: list[float] = []
    monkeypatch.setattr(module.time, "sleep", times.append)
    return times


def posters(tmdb: Database, folder: Path, key: str = KEY) -> Posters:
    return Posters(folder / "posters", key, tmdb.api, tmdb.pictures)


def test_a_film_is_found_by_its_number_or_else_by_title_and_year_and_kept(tmdb: Database, tmp_path: Path) -> None:
    found = posters(tmdb, tmp_path).of([TOY_STORY, HEAT, TOY_STORY])
    assert {film: path.read_bytes() for film, path in found.items()} == {TOY_STORY: PICTURE, HEAT: PICTURE}
    # Two films of 1995 have "Heat" in their titles; the one that is called so is meant.
    assert tmdb.asked == [
        "/3/movie/862",
        "/t/p/w92/uXDfjJbdP4ijW5hWSBrPrlKpxab.jpg",
        "/3/search/movie Heat 1995",
        "/t/p/w92/umSVjVdbVwtx5ryCA2QXL44Durm.jpg",
    ]
    assert tmdb.keys == [KEY, "", KEY, ""], "the server of the pictures needs no key"
    assert posters(tmdb, tmp_path).of([TOY_STORY, HEAT]) == found
    assert len(tmdb.asked) == 4, "what is kept is not asked for again"


def test_a_read_access_token_goes_into_the_header(tmdb: Database, tmp_path: Path) -> None:
    assert TOY_STORY in posters(tmdb, tmp_path, TOKEN).of([TOY_STORY])
    assert tmdb.keys[0] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("film", "questions"),
    [
        (Film(7, "Unknown there", None), 1),
        (Film(8010, "Highlander", 1986), 1),
        (Film(None, "Toy Story", 1990), 1),
        (Film(40001, "Broken Picture", 1999), 2),
    ],
    ids=["no such number", "no poster", "another year", "no picture"],
)
def test_that_there_is_none_is_kept_for_a_while(tmdb: Database, tmp_path: Path, film: Film, questions: int) -> None:
    for _ in range(2):
        assert posters(tmdb, tmp_path).of([film]) == {}
    assert len(tmdb.asked) == questions
    (kept,) = (tmp_path / "posters").iterdir()
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(kept, (long_ago, long_ago))
    assert posters(tmdb, tmp_path).of([film]) == {}
    assert len(tmdb.asked) == 2 * questions


def test_a_picture_is_fetched_anew_after_half_a_year(tmdb: Database, tmp_path: Path) -> None:
    kept = posters(tmdb, tmp_path).of([TOY_STORY])[TOY_STORY]
    for days, questions in ((100, 2), (160, 4)):
        moment = time.time() - days * 24 * 3600
        os.utime(kept, (moment, moment))
        assert TOY_STORY in posters(tmdb, tmp_path).of([TOY_STORY])
        assert len(tmdb.asked) == questions


def test_who_asks_too_often_waits_as_long_as_it_is_told(tmdb: Database, tmp_path: Path, slept: list[float]) -> None:
    message = "Your request count (41) is over the allowed limit of (40)."
    tmdb.refuse(429, 25, message, Retry_After="3")
    tmdb.refuse(429, 25, message)
    assert TOY_STORY in posters(tmdb, tmp_path).of([TOY_STORY])
    assert len(tmdb.asked) == 4
    waits = [round(one) for one in slept if one > 0.5]
    assert waits == [3, 1]


def test_questions_are_no_closer_than_the_limit_allows(tmdb: Database, tmp_path: Path) -> None:
    began = time.monotonic()
    posters(tmdb, tmp_path).of([TOY_STORY, HEAT])
    assert time.monotonic() - began >= 3 / 40


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((429, 25, "over the allowed limit"), "no time to fetch all of them from TMDB"),
        ((401, 7, "Invalid API key: You must be granted a valid key."), "status 401: Invalid API key"),
        ((503, 9, "Service offline: This service is temporarily offline, try again later."), "Service offline"),
    ],
)
def test_a_refusal_is_a_line_in_the_log_and_what_is_kept_is_shown(
    tmdb: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: tuple[int, int, str], said: str
) -> None:
    kept = posters(tmdb, tmp_path).of([TOY_STORY])
    tmdb.refuse(*fault, Retry_After="3600")
    with caplog.at_level(logging.WARNING):
        assert posters(tmdb, tmp_path).of([HEAT, TOY_STORY]) == kept
    (line,) = caplog.messages
    assert said in line and KEY not in line
    assert len(tmdb.asked) == 3, "there is no asking on"
    assert HEAT in posters(tmdb, tmp_path).of([HEAT]), "what was refused is asked for the next time"


def test_no_server_or_another_one_is_a_line_in_the_log(
    tmdb: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmdb.faults.append((200, {}, b"<html>Please log in</html>"))
    with caplog.at_level(logging.WARNING):
        assert posters(tmdb, tmp_path).of([TOY_STORY]) == {}
        assert Posters(tmp_path, KEY, "http://127.0.0.1:9/3").of([TOY_STORY]) == {}
    another, nobody = caplog.messages
    assert "answers something else than films" in another
    assert "TMDB does not answer (ConnectError)" in nobody and KEY not in nobody


def test_only_what_has_a_number_or_a_year_and_no_text_is_a_film() -> None:
    assert Film.of(Item("Postman, The (Postino, Il) (1994)", 5)) == Film(None, "The Postman", 1994)
    assert Film.of(Item("Postman, The", 5, tmdb_id=11010)) == Film(11010, "The Postman", None)
    assert Film.of(Item("Joke 12", 5, text="Two strings")) is None
    assert Film.of(Item("A joke of (1994)", 5, text="Two strings")) is None
    assert Film.of(Item("Blue jeans", 5)) is None
