"""Stages called alone: each works on the data set that it was given, and runs what it lacks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings
from tests.flows.conftest import Mfcore


def shop(folder: Path, first_user: int = 1, times: bool = True) -> Path:
    """A file `ratings.csv` of 12 users and 15 items, three ratings in four."""
    users, items = np.divmod(np.arange(12 * 15), 15)
    frame = pd.DataFrame({"user_id": users + first_user, "item_id": items, "rating": (users * items) % 4 + 1})
    if times:
        frame["timestamp"] = 1_400_000_000 + frame.index * 60
    folder.mkdir(exist_ok=True)
    frame[np.arange(len(frame)) % 4 > 0].to_csv(folder / "ratings.csv", index=False)
    return folder / "ratings.csv"


def done(mfcore: Mfcore, *arguments: object) -> dict[str, Any]:
    outcome = mfcore(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = outcome.document
    return document


def first_user_of(artifact: dict[str, Any]) -> int:
    return int(Ratings.load(Path(artifact["path"])).user_ids[0])


def test_a_stage_works_on_the_file_it_is_given_and_runs_what_it_lacks(mfcore: Mfcore, tmp_path: Path) -> None:
    here, there = shop(tmp_path / "here"), shop(tmp_path / "there", first_user=701)
    parts = done(mfcore, "split", "--dataset", here)  # nothing was downloaded or validated before
    done(mfcore, "split", "--dataset", there)
    again = done(mfcore, "split", "--dataset", here)
    assert (again["path"], again["reused"]) == (parts["path"], True)
    assert first_user_of(done(mfcore, "validate", "--dataset", here)) == 1
    assert first_user_of(done(mfcore, "validate", "--set", f"dataset.name={json.dumps(str(there))}")) == 701


@pytest.mark.slow
def test_a_bad_file_ends_each_stage_as_it_ends_a_run(mfcore: Mfcore, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("user_id,item_id,rating\n1,1,5\n")
    for stage in ("validate", "split"):
        outcome = mfcore(stage, "--dataset", tmp_path / "few.csv")
        assert (outcome.code, "min_ratings" in outcome.err) == (3, True)
    assert mfcore("tune", "--dataset", tmp_path / "none.csv").code == 4
    assert mfcore("split", "--dataset", "nobody-knows-it").code == 2
    assert mfcore("export", "--dataset", tmp_path / "few.csv").code == 5


@pytest.mark.slow
def test_files_fetched_under_a_name_are_known_by_it(mfcore: Mfcore, tmp_path: Path) -> None:
    one, two = shop(tmp_path / "one"), shop(tmp_path / "two", first_user=42)
    for source in (one, two, one):  # the last is reused, and newest all the same
        done(mfcore, "download", "--dataset", "corner-shop", "--source", source)
    assert first_user_of(done(mfcore, "validate", "--dataset", "corner-shop")) == 1


@pytest.mark.slow
def test_in_append_mode_a_value_of_before_and_a_scale_count(mfcore: Mfcore, tmp_path: Path) -> None:
    append = ("--dataset", "revised", "--set", "dataset.mode=append", "--set")
    first = shop(tmp_path / "first", times=False)
    changed = tmp_path / "changed.csv"
    changed.write_text("user_id,item_id,rating\n3,7,4\n")
    before = pd.read_csv(first).query("user_id == 3 and item_id == 7")["rating"].item()
    found = []
    for source in (first, changed, first, first):
        ratings = done(mfcore, "validate", *append, f"dataset.source={source}")
        frame = Ratings.load(Path(ratings["path"])).to_frame()
        found.append(frame.query("user_id == 3 and item_id == 7")["rating"].item())
    assert found == [before, 4, before, before]
    assert before != 4
    assert ratings["reused"]
    wider = done(mfcore, "validate", *append, f"dataset.source={first}", "--set", "dataset.scale_max=6")
    assert Ratings.load(Path(wider["path"])).scale.maximum == 6
    narrower = mfcore("validate", *append, f"dataset.source={first}", "--set", "dataset.scale_max=3")
    assert (narrower.code, "scale" in narrower.err) == (3, True)


@pytest.mark.slow
def test_damaged_ratings_are_done_without_where_only_drift_wants_them(mfcore: Mfcore, tmp_path: Path) -> None:
    source = shop(tmp_path / "night")
    last = Path(done(mfcore, "validate", "--dataset", "nightly", "--set", f"dataset.source={source}")["path"])
    (last / "values.npy").write_bytes(b"no array")
    shop(tmp_path / "night", first_user=2)
    outcome = mfcore("validate", "--dataset", "nightly", "--set", f"dataset.source={source}")
    assert (outcome.code, "drift is not measured" in outcome.err) == (0, True)
    (Path(outcome.out.split()[-1]) / "values.npy").write_bytes(b"no array either")
    shop(tmp_path / "night", first_user=3)
    outcome = mfcore(
        "validate", "--dataset", "nightly", "--set", f"dataset.source={source}", "--set", "dataset.mode=append"
    )
    assert (outcome.code, "is damaged" in outcome.err) == (5, True)
