"""Data sets that others publish are known by what is in their folder, with what their files don't say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mfcore.config import DatasetConfig
from mfcore.data.catalog import resolve
from mfcore.data.ratings import Scale
from mfcore.data.readers import Tables, read
from mfcore.data.sources import fetch
from mfcore.errors import UsageError
from tests.unit.data.cases import CASES, Case

FORMATS = {
    "Book-Crossing": ("book-crossing", Scale(1, 10, 1)),
    "Anime": ("anime", Scale(1, 10, 1)),
    "Goodbooks-10k": ("goodbooks-10k", Scale(1, 5, 1)),
    "FilmTrust": ("filmtrust", Scale(0.5, 4, 0.5)),
    "CiaoDVD": ("ciaodvd", Scale(1, 5, 1)),
    "Netflix Prize": ("netflix", Scale(1, 5, 1)),
    "Amazon 2023": ("amazon:Gift_Cards", Scale(1, 5, 1)),
    "Amazon 2018": ("amazon-2018:Gift_Cards", Scale(1, 5, 1)),
}
Load = Callable[..., Tables]


def case(title: str) -> Case:
    return next(one for one in CASES if one.what.startswith(title))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Read the files of a case by the path of their folder, or by the data set's name with --source."""

    def load(title: str, name: str | None = None, **config: object) -> Tables:
        theirs, raw = tmp_path / "theirs", tmp_path / "raw"
        for folder in (theirs, raw):
            folder.mkdir()
        for file, content in case(title).files().items():
            (theirs / file).write_bytes(content)
        given = {"name": str(theirs)} if name is None else {"name": name, "source": str(theirs)}
        settings = DatasetConfig(**given, **config)  # type: ignore[arg-type]
        return read(raw, fetch(resolve(settings), raw, tmp_path / "downloads"), settings)

    return load


@pytest.mark.parametrize("title", FORMATS)
@pytest.mark.parametrize("by_name", [False, True])
def test_it_is_known_by_its_content_and_by_its_name(load: Load, title: str, by_name: bool) -> None:
    name, scale = FORMATS[title]
    tables = load(title, name if by_name else None)
    assert tables.scale == scale
    assert len(tables.ratings) == case(title).n_ratings
    assert len(tables.unread) == 0
    values = tables.ratings["rating"]
    assert values.between(scale.minimum, scale.maximum).all()


def test_quotes_inside_ids_of_books_are_part_of_them(load: Load) -> None:
    tables = load("Book-Crossing")
    assert tables.ratings["item_id"].tolist() == ["0155061224", '044652"0802']
    assert tables.items is not None
    assert tables.items.to_dict("list") == {"item_id": ["0155061224"], "title": ["Rites of Passage"]}


def test_titles_of_netflix_hold_commas_and_years(load: Load) -> None:
    tables = load("Netflix")
    assert tables.ratings[["user_id", "item_id", "rating", "timestamp"]].values.tolist() == [
        [1488844, 1, 3, 1125964800],
        [822109, 1, 5, 1115942400],
        [1488844, 2, 4, 1125878400],
    ]
    assert tables.items is not None
    assert tables.items["title"].tolist() == ["Dinosaur Planet (2003)", "Isle of Man, TT (2004)"]


def test_times_of_amazon_are_seconds_whatever_they_came_in(load: Load) -> None:
    assert load("Amazon 2023").ratings["timestamp"].tolist() == [1549866158, 1599113048]


def test_not_rated_may_be_something_else(load: Load) -> None:
    assert load("Anime", not_rated=(7,)).ratings["rating"].tolist() == [-1, 10]


def test_a_column_that_they_do_not_have_is_refused(load: Load) -> None:
    with pytest.raises(UsageError, match="files of goodbooks-10k have columns of their own"):
        load("Goodbooks-10k", user_column="who")
