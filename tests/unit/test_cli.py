import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mfcore import cli
from mfcore.models import ALS
from mfcore.models.model import Model

Mfcore = Callable[..., tuple[int, str, str]]

LIGHT = """
import sys, time
started = time.perf_counter()
sys.argv = ["mfcore", "--help"]
from mfcore.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"numpy", "pandas", "prefect", "mlflow", "numba", "optuna", "great_expectations", "pyarrow", "pydantic"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_loads_nothing_heavy() -> None:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "recommend" in done.stdout
    assert time.perf_counter() - started < 5


def test_every_command_explains_itself() -> None:
    import typer

    from mfcore.cli import app

    group = typer.main.get_command(app)
    names = {"run", "download", "validate", "split", "tune", "evaluate", "register", "export", "datasets", "recommend"}
    assert names | {"similar", "predict", "models", "promote", "rollback", "bench", "ui", "doctor", "config"} <= set(
        group.commands
    )
    for name, command in group.commands.items():
        assert command.help, name
        assert "--json" in [option for parameter in command.params for option in parameter.opts], name


@pytest.fixture(scope="module")
def films() -> Model:
    """Ten users on items 1001 to 1008; everybody likes the even ones and dislikes the odd ones."""
    titles = "Heat (1995)", "Iron Man (2008)", "Heat (1986)", "Toy Story (1995)", "M (1931)", "Alien (1979)"
    titles = (*titles, "Dumb & Dumber (1994)", "Fargo (1996)")
    rows = [
        (user, 1001 + place, 1.0 if place % 2 == 0 else 5.0, title)
        for user in range(1, 11)
        for place, title in enumerate(titles)
        if (user + place) % 4
    ]
    return ALS(n_factors=2, n_epochs=5).fit(pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "title"]))


@pytest.fixture
def mfcore(films: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mfcore:
    """The command over these films: arguments -> exit code, stdout, stderr."""
    monkeypatch.setattr(cli, "_bundle", lambda dataset: films)

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mfcore", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return call


def test_likes_and_dislikes_of_somebody_new(mfcore: Mfcore, films: Model) -> None:
    given = ("--like", "iron man=4", "--like", "Toy Stroy", "--dislike", "dumb and dumber")
    code, out, err = mfcore("recommend", *given, "-k", 3, "--json")
    assert code == 0
    assert "'iron man': Iron Man (2008)" in err and "'dumb and dumber': Dumb & Dumber (1994)" in err
    assert "no title is 'Toy Stroy'; taken for: Toy Story (1995)" in err
    expected = films.fold_in({1002: 4.0, 1004: 5.0, 1007: 1.0}).recommend("new", 3)
    rows = json.loads(out)
    assert [row["item_id"] for row in rows] == expected["item_id"].tolist()
    assert [row["score"] for row in rows] == pytest.approx(expected["score"].tolist())
    assert {row["user_id"] for row in rows} == {None} and not any(row["known_user"] for row in rows)
    assert not {1002, 1004, 1007} & {row["item_id"] for row in rows}
    assert mfcore("recommend", "--dislike", "heat 1995")[0] == 0


def test_nothing_known_at_all_gives_the_most_rated_and_says_so(mfcore: Mfcore, films: Model) -> None:
    code, out, err = mfcore("recommend", "-k", 2, "--json")
    assert code == 0 and "the most rated items" in err
    best = sorted(range(8), key=lambda place: (-films.n_ratings[place], place))[:2]
    assert [row["item_id"] for row in json.loads(out)] == [1001 + place for place in best]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("recommend", 1, "--like", "M"), "not both"),
        (("recommend", "--like", "fargo", "--dislike", "Fargo (1996)"), "'Fargo (1996)' is rated twice, 5 and 1"),
        (("recommend", "--like", "fargo=2", "--like", "fargo=3"), "rated twice, 2 and 3"),
        (("recommend", "--like", "fargo=9"), "9"),
        (("recommend", "--like", "fargo=nan"), "nan"),
        (("recommend", "--like", "fargo=good"), "no item has the id or title 'fargo=good'; the nearest: Fargo"),
        (("recommend", "--like", ""), "no item has the id or title ''"),
        (("similar", "no such film"), "no item has the id or title 'no such film'"),
        (("predict", 1, "1009"), "no item has the id or title '1009'"),
    ],
)
def test_wrong_titles_and_ratings_are_refused(mfcore: Mfcore, args: tuple[object, ...], said: str) -> None:
    code, out, err = mfcore(*args)
    assert (code, out) == (2, "") and said in err, err


@pytest.mark.parametrize("args", [("recommend", "--like", "heat"), ("similar", "heat"), ("predict", "1", "heat")])
def test_of_several_titles_all_are_shown_by_every_command(mfcore: Mfcore, args: tuple[str, ...]) -> None:
    code, out, err = mfcore(*args)
    assert (code, out) == (2, "") and "2 items have the title 'heat'; name one by its id." in err
    assert all(text in err for text in ("1001", "Heat (1995)", "1003", "Heat (1986)", "n_ratings"))
    code, out, _ = mfcore(*args, "--json")
    answer = json.loads(out)
    assert answer["exit_code"] == code == 2
    assert [row["item_id"] for row in answer["candidates"]] == [1001, 1003]


def test_explanations_name_rated_items_beside_each_item(mfcore: Mfcore, films: Model) -> None:
    rows = json.loads(mfcore("recommend", 1, "--explain", "--json")[1])
    best = films.explain(1, rows[0]["item_id"], 1).iloc[0]
    assert (rows[0]["because_1"], rows[0]["because_title_1"]) == (best["rated_item_id"], best["title"])
    assert best["title"] in mfcore("recommend", 1, "--explain")[1]
    new = json.loads(mfcore("recommend", "--like", "fargo", "--explain", "--json")[1])
    assert {row["because_title_1"] for row in new} <= {"Fargo (1996)", None}
    assert json.loads(mfcore("recommend", "-k", 1, "--explain", "--json")[1])[0]["because_1"] is None


def test_lists_follow_the_configuration_and_say_where_they_are_shorter(mfcore: Mfcore, tmp_path: Path) -> None:
    (tmp_path / "deny.txt").write_text("1001\n\n 1003 \n")
    (tmp_path / "mine.toml").write_text(f"[lists]\ndeny = {json.dumps(str(tmp_path / 'deny.txt'))}\n")
    code, out, err = mfcore("recommend", "-c", tmp_path / "mine.toml", "-k", 8, "--json")
    assert code == 0 and "the list: 6 of 8 items, for no more are left" in err
    assert not {1001, 1003} & {row["item_id"] for row in json.loads(out)}
    allowed = ("--set", f"lists.allow={tmp_path / 'deny.txt'}")
    found = {row["item_id"] for row in json.loads(mfcore("recommend", *allowed, "--json")[1])}
    assert found == {1001, 1003}
    _, _, err = mfcore("recommend", 1, 2, *allowed)
    assert "user 1: " in err and "user 2: " in err and "of 10 items" in err
    for setting, code, said in (
        (f"lists.deny={tmp_path / 'none'}", 4, "none can't be read"),
        ("lists.where=genres has War", 2, "no column 'genres'; its columns: none"),
        ("lists.min_ratings=1000", 2, "none of the 8 items has 1,000 ratings or more"),
        ("lists.diversity=2", 2, "lists.diversity"),
    ):
        got, out, err = mfcore("recommend", 1, "--set", setting)
        assert (got, out) == (code, "") and said in err and err.count("\n") <= 2, err


def test_similar_items_can_be_rare_only_if_asked_for(mfcore: Mfcore, films: Model) -> None:
    few = {int(item) for item, n in zip(films.item_ids, films.n_ratings, strict=True) if n < 8}
    assert few and len(few) < 7
    for options, are_there in (((), True), (("--min-ratings", 8), False)):
        found = {row["other_item_id"] for row in json.loads(mfcore("similar", "1004", "--json", *options)[1])}
        assert bool(found & few) == are_there and found


def test_similar_items_of_two_algorithms_stand_side_by_side(
    mfcore: Mfcore, films: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_fitted", lambda dataset, names: dict.fromkeys(names, films))
    found = json.loads(mfcore("similar", "toy story", "--compare", "als, sgd", "-k", 2, "--json")[1])
    expected = films.similar(1004, 2)
    assert {name: [row["title"] for row in rows] for name, rows in found.items()} == dict.fromkeys(
        ("als", "sgd"), expected["title"].tolist()
    )
    out = mfcore("similar", "toy story", "--compare", "als,sgd")[1]
    assert out.count(expected["title"][0]) == 2 and "Like Toy Story (1995)" in out
    code, _, err = mfcore("similar", "toy story", "--compare", "als,sdg")
    assert code == 2 and "unknown algorithm 'sdg'; did you mean 'sgd'?" in err


def test_a_user_id_has_one_type_in_every_command(mfcore: Mfcore) -> None:
    for user, shown in ((3, 3), (999, 999), ("x", "x")):
        assert {row["user_id"] for row in json.loads(mfcore("recommend", user, "--json")[1])} == {shown}
        assert json.loads(mfcore("predict", user, "M", "--json")[1])["user_id"] == shown
    rows = json.loads(mfcore("similar", "1004", "--json")[1])
    assert {row["item_id"] for row in rows} == {1004} and type(rows[0]["other_item_id"]) is int
    assert "1,0" not in mfcore("recommend", 3)[1] and "yes" in mfcore("recommend", 3)[1]


def test_the_configuration_is_shown_and_read_back(
    mfcore: Mfcore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--dataset", "jester-1", "--set", "tuning.n_trials=7", "--set", "tuning.space.als.n_factors=[4, 8]")
    code, out, err = mfcore("config", *given)
    assert (code, err) == (0, "")
    file = tmp_path / "mf.toml"
    file.write_text(out, encoding="utf-8")
    shown = json.loads(mfcore("config", *given, "--json")[1])
    assert shown == json.loads(mfcore("config", "-c", file, "--json")[1])
    assert (shown["dataset"]["name"], shown["tuning"]["n_trials"]) == ("jester-1", 7)
    assert mfcore("config", "--defaults")[1] == mfcore("config")[1] != out
    code, out, err = mfcore("config", "--defaults", "--dataset", "jester-1")
    assert (code, out) == (2, "") and "--defaults stands alone" in err
