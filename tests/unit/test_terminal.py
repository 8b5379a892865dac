"""Titles are data: a terminal shows them and obeys nothing in them. Ids are data too, and are printed as they are."""

import json
import logging
import time
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from mfcore.metrics.objective import Objective
from mfcore.models import Recipe
from mfcore.terminal import print_frame, print_lists, print_table, print_versions, start_log
from mfcore.tracking.history import Reign
from mfcore.tracking.registry import Registered


@pytest.mark.parametrize("title", ["Film [/b]", "[rec] 2", "[bold]Heat[/bold]", "[link=x]Heat", r"a\[b]"])
def test_markup_is_shown_as_it_stands(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"Like {title}", [{"title": title, "score": 1.5}])
    assert capsys.readouterr().out.count(title) == 2


@pytest.mark.parametrize("code", ["\x1b[31m", "\x1b]0;name\x07", "\x9b2J", "\r", "\b", "\x7f"])
def test_control_codes_do_not_reach_the_terminal(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"Like Heat{code}", [{"title": f"Heat{code}", "score": 1.5}])
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\r\b\x7f")
    assert out.count(rf"Heat\x{ord(code[0]):02x}") == 2


def test_a_title_may_have_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("What ratings are\nRMSE", [{"model": "als"}])
    assert capsys.readouterr().out.splitlines()[:2] == ["What ratings are", "RMSE"]


def test_ids_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"item_id": [1018, 7], "title": ["Heat", None], "known_user": [True, False]})
    print_frame("", frame.assign(score=np.array([1234.5, 0.25], np.float32)))
    heads, first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heads == ["item_id", "title", "known_user", "score"]
    assert first == ["1018", "Heat", "yes", "1,234"]
    assert second == ["7", "–", "no", "0.2500"]


def test_numbers_stand_to_the_right_even_below_a_gap(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("", [{"step": None, "name": "7"}, {"step": 0.5, "name": "seven"}])
    _, gap, number = capsys.readouterr().out.splitlines()
    assert gap.index("–") == number.index("0.5000") + 5
    assert gap.index("7") == number.index("seven")


def test_a_list_for_nobody_known_is_a_list_too(capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"user_id": [None], "rank": [1], "item_id": [1018]})
    print_lists(frame, "user_id", "For somebody new", as_json=False)
    assert "For somebody new" in (out := capsys.readouterr().out) and "1018" in out
    print_lists(frame, "user_id", "For somebody new", as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"user_id": None, "rank": 1, "item_id": 1018}]


def test_versions_say_per_head_how_good_they_are_and_when_they_were_champion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    headline = {"test_rmse": 0.9, "test_mae": 0.7, "test_ndcg_at_10": 0.25, "test_popularity_lift_at_10": 0.5}
    recipes = {Objective.RATING: Recipe(algorithm="als"), Objective.RANKING: Recipe(algorithm="most_popular")}
    common = {"name": "mfcore-films", "run_id": "r", "fingerprint": "f", "metrics": headline, "made_at": 0}
    blend = Recipe(algorithm="blend", params={"members": [{"algorithm": one} for one in ("als", "sgd", "ease", "pmf")]})
    known = {"intervals": {"test_rmse": (0.88, 0.921)}, "trained_on": {"ratings": 100_000}}
    versions = [
        Registered(
            version=1018, data="d", split="0123456789ab", aliases=["challenger"], recipes=recipes, **known, **common
        ),
        Registered(version=1, data="d", aliases=[], recipes={Objective.RATING: blend}, **common),
    ]
    history = [
        Reign(role="champion", version=1, since=0, until=60_000, why="won", ended_by="version 1018: " + "lower " * 30),
        Reign(role="champion", version=1018, since=60_000, why="lower " * 30),
        Reign(role="previous", version=1, since=60_000, why="lower"),
    ]
    print_versions(versions, False, history)
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    made, minute = (time.strftime(form, time.localtime(0)) for form in ("%Y-%m-%d", "%Y-%m-%d %H:%M"))
    assert [line.split() for line in lines[1:4]] == [
        ["1018", "challenger", made, "rating", "als", "0.9000", "(0.880–0.921)", "100,000", "01234567"],
        ["ranking", "most_popular", "0.2500", "100,000", "01234567"],
        ["1", made, "rating", "blend", "of", "als,", "0.9000", "–", "–"],
    ]
    now, before = (line for line in lines if minute[:-1] in line)
    assert "now" in now and "won" in before and "version 1018:" in before
    print_versions(versions, True, history)
    documents = json.loads(capsys.readouterr().out)
    assert [[one["ended_by"] for one in document["history"]] for document in documents] == [
        [None],
        [history[0].ended_by, None],
    ]
    assert documents[0]["intervals"] == {"test_rmse": [0.88, 0.921]}


def test_the_log_as_json_is_a_document_per_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("mfcore")
    before = log.handlers, log.level, log.propagate
    try:
        start_log()
        start_log(as_json=True)
        logging.getLogger("mfcore.stages").warning("%d rows\nin two lines", 3)
    finally:
        log.handlers, log.level, log.propagate = before
    (line,) = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert datetime.fromisoformat(said.pop("time")).tzinfo is not None
    assert said == {"level": "warning", "logger": "mfcore.stages", "message": "3 rows\nin two lines"}
