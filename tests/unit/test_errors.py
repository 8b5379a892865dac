"""What messages are made of: counts keep their thousands, names are counted, and others' words are one clause."""

import errno
import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfcore.errors import DataInvalid, clause, counted, first_line, listed

STOPS = (".", ":", ";", ",", " ", "…")
SAID = st.text(st.characters(codec="utf-8"), max_size=300) | st.text(".… :\n\r\x85abc", max_size=12)


@given(st.integers(0, 10**15), st.sampled_from(["rating", "row", "file"]))
def test_a_count_is_whole_and_has_its_noun(n: int, noun: str) -> None:
    number, name = counted(n, noun).split(" ")
    assert int(number.replace(",", "")) == n
    assert re.fullmatch(r"\d{1,3}(,\d{3})*", number)
    assert name == (noun if n == 1 else f"{noun}s")


@given(st.lists(st.text("abc", min_size=1, max_size=3), max_size=15), st.sampled_from(["", "and", "or"]))
def test_names_are_shown_or_counted(names: list[str], last: str) -> None:
    shown, more, number = listed(names, last, 7).partition(" and ") if len(names) > 7 else (listed(names, last), "", "")
    parts = re.split(rf", | {last} " if last else ", ", shown)
    assert parts == (names[:7] if len(names) > 7 else names or ["none"])
    assert bool(more) == (len(names) > 7) and (not more or number == f"{len(names) - 7} more")


def test_the_number_of_names_left_out_keeps_its_thousands() -> None:
    assert listed(range(12_345), most=2) == "0, 1 and 12,343 more"


@given(SAID)
def test_what_others_say_is_one_line_that_a_sentence_can_go_on_after(text: str) -> None:
    for error in (ValueError(text), OSError(errno.EACCES, text), sqlite3.OperationalError(text), DataInvalid(text)):
        for said in (first_line(error), clause(error)):
            assert len(said.splitlines()) <= 1
            assert ".." not in f"{said}."[-2:]
            assert not said.removesuffix("…").endswith(STOPS) or len(said) > 200
        assert first_line(error)
        assert len(first_line(error)) <= 201


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such column.\n[SQL: SELECT …]"), "no such column"),
        (ValueError("wait..."), "wait"),
        (ValueError("12,345 rows, 1.5 of them…"), "12,345 rows, 1.5 of them"),
        (KeyError("user_id"), "'user_id'"),
        (TimeoutError(), "TimeoutError"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/x.csv"), "No such file or directory"),
        ("", "no reason given"),
        ("x" * 300, "x" * 200 + "…"),
    ],
)
def test_what_others_say(error: object, said: str) -> None:
    assert first_line(error) == said
