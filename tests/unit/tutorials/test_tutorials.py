"""Each tutorial runs, is short, and prints what it promises."""

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mfcore
import mfcore.tutorials
from mfcore.config import DatasetConfig
from mfcore.data.catalog import resolve
from mfcore.data.sources import fetch
from mfcore.data.splitting import Split
from mfcore.data.synthetic import synthesize
from mfcore.errors import SourceUnavailable
from mfcore.settings import Settings
from mfcore.tutorials import _common, als_and_sgd, jokes, new_user, probabilistic, toy

FILES = sorted(Path(mfcore.tutorials.__path__[0]).glob("[!_]*.py"))


def lines_of_code(text: str) -> int:
    """Lines that hold code: no blank ones, no comments, no docstrings."""
    documented = (ast.Module, ast.FunctionDef, ast.ClassDef)
    said: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            said.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    numbered = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and n not in said for n, line in numbered)


def test_lines_of_code_are_counted() -> None:
    assert (
        lines_of_code('"""What\n\nit is."""\n\n# why\nx = """\ntext"""\n\n\ndef f():\n    "Half."\n    return x\n') == 4
    )


def test_there_are_five() -> None:
    assert [file.stem for file in FILES] == ["als_and_sgd", "jokes", "new_user", "probabilistic", "toy"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_at_most_60_lines_of_code(file: Path) -> None:
    assert 0 < lines_of_code(file.read_text(encoding="utf-8")) <= 60


def test_an_error_a_user_can_cause_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["probabilistic", "--dataset", "ml-100m"])
    with pytest.raises(SystemExit) as stop:
        _common.run(probabilistic.main)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("unknown data set 'ml-100m'") and said.count("\n") == 1


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of synthetic ratings of films with titles."""
    frame = synthesize(60, 40, 1600).frame
    frame["title"] = "Film number " + frame["item_id"].map("{:02}".format) + " (1999)"
    path = tmp_path_factory.mktemp("films") / "ratings.csv"
    frame.to_csv(path, index=False)
    return str(path)


def test_the_5_by_4_matrix_is_learned_in_20_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    errors = toy.main()
    assert list(errors) == list(range(1, 21))
    assert errors[20] < 0.15 < errors[1]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("epoch  10: RMSE") and printed[1] == f"epoch  20: RMSE {errors[20]:.3f}"
    assert len(printed) == 2 + 1 + 5


def test_als_and_sgd_are_searched_drawn_and_blended(
    films: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def corner(algorithm: str, ratings: mfcore.Ratings, parts: Split, space: dict[str, Any], n: int) -> mfcore.Recipe:
        """The search over the first two values of each list."""
        smaller = {name: values[:2] if isinstance(values, list) else values for name, values in space.items()}
        return _common.grid_search(algorithm, ratings, parts, smaller, n)

    monkeypatch.setattr(als_and_sgd, "grid_search", corner)
    figure = tmp_path / "curves.png"
    table = als_and_sgd.main(films, max_epochs=2, figure=figure)
    printed = capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert table["model"].tolist() == ["ALS", "SGD", "ensemble"]
    assert table["test_mse"].to_numpy() == pytest.approx(table["test_rmse"] ** 2)
    assert printed.count("validation RMSE over the grid") == 3 and printed.count("Nearest to Film number") == 5


def test_a_best_value_at_the_edge_of_the_grid_is_told(films: str, capsys: pytest.CaptureFixture[str]) -> None:
    ratings = mfcore.load(films)
    space = {"reg_user": [0.02, 0.05, 0.1], "n_factors": [2], "reg_item": {"same_as": "reg_user"}}
    recipe = _common.grid_search("als", ratings, mfcore.split(ratings), space, max_epochs=3)
    printed = capsys.readouterr().out
    assert recipe.params["reg_user"] == 0.02 and "Best: reg_user 0.02, n_factors 2" in printed
    assert "The best reg_user lies at the edge of the grid" in printed


def test_curves_go_on_where_the_checkpoint_before_ended(films: str) -> None:
    ratings = mfcore.load(films)
    model = mfcore.ALS(n_factors=3)
    curve = als_and_sgd.learning_curve(model, ratings, ratings, 5)
    assert curve.index.tolist() == [1, 2, 5]
    for epoch in curve.index:
        factors = model.model_copy(update={"n_epochs": epoch}).train(ratings)
        errors = factors.predict(ratings.users, ratings.items).astype(float) - ratings.values
        assert curve.loc[epoch, "train"] == pytest.approx(np.mean(errors**2))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:PySpark does not yet")
def test_a_new_user_gets_lists_by_spark(films: str) -> None:
    lists = new_user.main(["film number 07", "Film number 11=4"], top=5, dataset=films, spark=True)
    assert len(lists) == 3
    for listed in lists.values():
        assert len(listed) == 5
        assert not set(listed["title"]) & {"Film number 07", "Film number 11"}


def test_a_new_user_gets_lists_without_their_favorites(films: str, capsys: pytest.CaptureFixture[str]) -> None:
    lists = new_user.main(["film nmber 07", "Film number 11=4", "Casablanca"], top=5, dataset=films)
    printed = capsys.readouterr().out
    assert "film nmber 07: Film number 07 (1999)" in printed and "no item has the id or title 'Casablanca'" in printed
    folded, trained, hybrid = lists.values()
    for listed in (folded, trained, hybrid):
        assert len(listed) == 5
        assert not {"Film number 07 (1999)", "Film number 11 (1999)"} & set(listed["title"])
    assert len(set(folded["title"]) & set(trained["title"])) >= 3
    assert hybrid["title"].tolist() != folded["title"].tolist()


def test_priors_and_link_are_compared_and_a_user_is_shown(films: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = probabilistic.main(films, n_epochs=4)
    printed = capsys.readouterr().out
    assert table.shape == (4, 6) and table.to_numpy().min() > 0
    mean_alone = float(printed.partition("RMSE of the mean alone ")[2].split()[0])
    assert (table.xs("held out", axis=1, level=1).loc[4] < mean_alone).all()
    liked, _, recommended = printed.partition("Recommended to them")
    assert "Film number" in liked and recommended.count("Film number") == 10


@pytest.fixture(scope="module")
def jester(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Synthetic ratings in Jester's own files."""
    folder = tmp_path_factory.mktemp("jester")
    frame = synthesize(150, 20, 1800, scale=mfcore.Scale(-10, 10)).frame
    lines = frame[["user_id", "item_id", "rating"]].astype(str).agg("\t\t".join, axis=1)
    (folder / "jester_ratings.dat").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = "".join(f"{number}:\n<p>\nA joke about {number} ducks<br />\nQuack!\n</p>\n\n" for number in range(1, 21))
    (folder / "jester_items.dat").write_text(texts, encoding="utf-8")
    return str(folder)


def test_jokes_are_ranked_and_compared_with_their_texts(
    jester: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = jokes.main(jester, user="3", n_epochs=3, save=tmp_path)
    printed = capsys.readouterr().out
    assert table["train"].is_monotonic_decreasing and table["held out"].is_monotonic_decreasing
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-001", "epoch-002", "epoch-003"]
    assert mfcore.Factors.load(tmp_path / "epoch-003").scale == mfcore.Scale(-10, 10)
    known = mfcore.load(jester)
    unrated = 20 - int(pd.Series(known.user_ids[known.users]).astype(str).eq("3").sum())
    assert "User 3 has not rated " in printed
    assert unrated <= int(printed.partition("User 3 has not rated ")[2].split()[0])
    assert printed.count("\nQuack!") == 4 and "<p>" not in printed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_on_movielens_100k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw").mkdir()
    try:
        fetch(resolve(DatasetConfig(name="ml-100k")), tmp_path / "raw", Settings.read().home / "downloads")
    except SourceUnavailable as error:
        pytest.skip(f"MovieLens 100K is not available: {error}")
    table = als_and_sgd.main(figure=tmp_path / "curves.png").set_index("model")
    assert table.loc["ensemble", "test_mse"] < min(0.87, table.loc["ALS", "test_mse"], table.loc["SGD", "test_mse"])
    curves = probabilistic.main().xs("held out", axis=1, level=1).loc[20]
    assert max(curves["adaptive priors"], curves["adaptive, logistic"]) < curves["fixed priors"] - 0.01 < 0.91
    lists = new_user.main()
    assert lists["ALS and item kNN"]["title"].iloc[0] == "Empire Strikes Back, The (1980)"
