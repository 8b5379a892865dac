import re

import pytest

from mfcore.config import DatasetConfig
from mfcore.data.catalog import KNOWN, Local, Synthetic, Web, resolve
from mfcore.errors import SourceUnavailable, UsageError


def test_every_known_data_set_says_where_it_comes_from_and_on_what_terms():
    for name, dataset in KNOWN.items():
        assert dataset.name == name
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert dataset.license
        assert dataset.citation
        assert dataset.homepage.startswith("https://")
        for source in dataset.sources:
            if isinstance(source, Web):
                assert source.url.startswith("https://")


@pytest.mark.parametrize("name", ["ml-100", "ML-100K", "ml100k"])
def test_an_unknown_name_is_refused_with_the_nearest(name):
    with pytest.raises(UsageError, match=r"unknown data set .*; did you mean 'ml-100k'\?") as raised:
        resolve(DatasetConfig(name=name))
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("file", "slug"),
    [
        ("my ratings.csv", "my-ratings"),
        ("Bewertungen_2024.parquet", "bewertungen_2024"),
        ("€.csv", "ratings"),
        ("ratings.2024.csv.gz", "ratings-2024"),
        ("x" * 200, "x" * 40),
    ],
)
def test_a_path_names_the_data_set_after_its_file(tmp_path, file, slug):
    (tmp_path / file).write_text("x")
    dataset = resolve(DatasetConfig(name=str(tmp_path / file)))
    assert re.fullmatch(re.escape(slug) + "-[0-9a-f]{6}", dataset.name)
    assert dataset.sources == (Local(tmp_path / file),)


def test_files_of_one_name_in_two_folders_are_two_data_sets(tmp_path, monkeypatch):
    for folder in ("x1", "x2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ratings.csv").write_text("x")
    monkeypatch.chdir(tmp_path)
    first, again, other = (
        resolve(DatasetConfig(name=name)).name
        for name in ("x1/ratings.csv", str(tmp_path / "x2" / ".." / "x1" / "ratings.csv"), "x2/ratings.csv")
    )
    assert first == again != other
    (tmp_path / "x1" / "ratings.csv").write_text("other ratings")
    assert resolve(DatasetConfig(name="x1/ratings.csv")).name == first


@pytest.mark.parametrize("name", ["book-crossing", "anime", "netflix"])
def test_what_has_to_be_fetched_by_hand_says_where(name, tmp_path):
    with pytest.raises(SourceUnavailable, match=r"by hand: get it from https://.* dataset.source"):
        resolve(DatasetConfig(name=name))
    assert resolve(DatasetConfig(name=name, source=str(tmp_path))).scale == KNOWN[name].scale


def test_amazon_is_known_by_category():
    dataset = resolve(DatasetConfig(name="amazon:Digital_Music"))
    assert dataset.name == "amazon-digital_music"
    assert [one.url.rsplit("/", 1)[1] for one in dataset.sources] == ["Digital_Music.csv.gz"]
    assert resolve(DatasetConfig(name="amazon-2018:Digital_Music")).sources[0].url.endswith("/Digital_Music.csv")


def test_a_relative_path_is_found_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve(DatasetConfig(name="data")).sources == (Local(tmp_path / "data"),)


def test_a_known_data_set_may_lie_on_this_machine(tmp_path):
    dataset = resolve(DatasetConfig(name="ml-1m", source=str(tmp_path)))
    assert dataset.name == "ml-1m"
    assert dataset.scale == KNOWN["ml-1m"].scale
    assert dataset.sources == (Local(tmp_path),)
    with pytest.raises(SourceUnavailable, match="check dataset.source"):
        resolve(DatasetConfig(name="ml-1m", source=str(tmp_path / "missing")))


def test_files_of_ones_own_may_have_a_name_of_their_own(tmp_path):
    dataset = resolve(DatasetConfig(name="shop", source=str(tmp_path)))
    assert (dataset.name, dataset.sources, dataset.scale) == ("shop", (Local(tmp_path),), None)
    with pytest.raises(UsageError, match="unlike dataset.name = 'my shop'"):
        resolve(DatasetConfig(name="my shop", source=str(tmp_path)))


@pytest.mark.parametrize("name", ["missing.csv", "somewhere/else"])
def test_a_path_that_is_not_there_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnavailable, match=f"no file or folder {tmp_path / name}"):
        resolve(DatasetConfig(name=name))


def test_a_synthetic_data_set_is_named_by_its_size():
    dataset = resolve(DatasetConfig(name="synthetic:users=1_000, items=50,ratings=2000,seed=7"))
    assert dataset.sources == (Synthetic(1000, 50, 2000, 7),)
    assert dataset.name == "synthetic-1000x50-2000-seed7"


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("synthetic:users=10,items=5", "lacks ratings"),
        ("synthetic:", "cannot make sense of ''"),
        ("synthetic:users=10,items=5,ratings=20,color=3", "cannot make sense of 'color=3'"),
        ("synthetic:users=10,users=10,items=5,ratings=20", "cannot make sense of 'users=10'"),
        ("synthetic:users=ten,items=5,ratings=20", "users is 'ten', not a whole number"),
        ("synthetic:users=-1,items=5,ratings=20", "users is '-1', not a whole number"),
        ("synthetic:users=²,items=5,ratings=20", "cannot make sense"),
    ],
)
def test_a_wrong_specification_says_what_is_wrong_and_the_form(name, word):
    with pytest.raises(UsageError, match=word) as raised:
        resolve(DatasetConfig(name=name))
    assert "synthetic:users=1000,items=500,ratings=20000" in str(raised.value)
