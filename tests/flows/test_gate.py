"""Champion and challenger over several nights, through the command."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.flows.conftest import Mfcore, ran

pytestmark = pytest.mark.slow

DATASET = "synthetic:users=150,items=60,ratings=6000,seed=1"
NAME = "synthetic-150x60-6000-seed1"


def run(mfcore: Mfcore, *options: str) -> dict:  # type: ignore[type-arg]
    own = ("--dataset", DATASET, "--algorithms", "als", "--set", "tuning.validation=single")
    return ran(mfcore, *own, *options)


@pytest.fixture(scope="module")
def poor_then_good(mfcore: Mfcore) -> tuple[dict, dict]:  # type: ignore[type-arg]
    poor = run(mfcore, "--trials", "1", "--set", "tuning.max_epochs=1")
    return poor, run(mfcore, "--trials", "3")


def versions(mfcore: Mfcore) -> dict[int, dict]:  # type: ignore[type-arg]
    return {one["version"]: one for one in mfcore("models", "--dataset", NAME, "--json").document}


def test_a_better_recipe_takes_the_champions_place(mfcore: Mfcore, poor_then_good: tuple[dict, dict]) -> None:  # type: ignore[type-arg]
    poor, good = poor_then_good
    assert good["version"] > poor["version"]
    assert good["heads"]["rating"]["status"] == "promoted"
    assert good["metrics"]["test_rmse"] < poor["metrics"]["test_rmse"]
    after = versions(mfcore)
    assert (after[poor["version"]]["aliases"], after[good["version"]]["aliases"]) == (["previous"], ["champion"])


def test_a_worse_recipe_becomes_the_challenger_and_the_champions_is_kept(
    mfcore: Mfcore,
    poor_then_good: tuple[dict, dict],  # type: ignore[type-arg]
) -> None:
    _, good = poor_then_good
    kept = run(mfcore, "--trials", "1", "--set", "tuning.max_epochs=1", "--set", "split.seed=3")
    assert kept["version"] == good["version"]
    assert kept["heads"]["rating"]["status"] == "kept"
    after = versions(mfcore)
    assert after[good["version"]]["aliases"] == ["champion"]
    (challenger,) = (one for one in after.values() if "challenger" in one["aliases"])
    assert challenger["recipes"]["rating"]["params"]["n_epochs"] == 1
    assert challenger["metrics"]["test_rmse"] > after[good["version"]]["metrics"]["test_rmse"]


def latest(place: Path) -> int:
    manifest = json.loads((place / "exports" / NAME / "latest" / "manifest.json").read_text(encoding="utf-8"))
    return int(manifest["model_version"])


def test_back_and_forth_by_hand(mfcore: Mfcore, place: Path, poor_then_good: tuple[dict, dict]) -> None:  # type: ignore[type-arg]
    poor, good = (one["version"] for one in poor_then_good)
    assert mfcore("rollback", "--dataset", NAME, "--json").document[0]["version"] == latest(place) == poor
    assert versions(mfcore)[good]["aliases"] == ["previous"]
    assert mfcore("promote", good, "--dataset", NAME, "--json").document[0]["version"] == latest(place) == good
    refused = mfcore("promote", 99, "--dataset", NAME)
    assert (refused.code, "no version 99" in refused.err) == (2, True)
    table = mfcore("models", "--dataset", NAME)
    assert "champion" in table.out and max(len(line.rstrip()) for line in table.out.splitlines()) <= 100
    told = {one["version"]: one["history"] for one in mfcore("models", "--dataset", NAME, "--json").document}
    rolled = [one for one in told[good] if one["ended_by"] == f"version {poor}: rolled back"]
    assert len(rolled) == 1 and rolled[0]["since"] < rolled[0]["until"]


def test_lists_of_champion_and_challenger_in_turns(
    mfcore: Mfcore,
    place: Path,
    poor_then_good: tuple[dict, dict],  # type: ignore[type-arg]
) -> None:
    both = ("--dataset", NAME, "--set", "export.interleave=champion,previous", "--json")
    exported = mfcore("export", *both).document
    lists = pd.read_parquet(Path(exported["path"]) / "recommendations.parquet")
    after = {alias: number for number, one in versions(mfcore).items() for alias in one["aliases"]}
    assert dict(zip(lists["team"], lists["team_version"], strict=True)) == {
        "champion": after["champion"],
        "previous": after["previous"],
    }
    assert mfcore("export", "--verify", "--dataset", NAME).code == 0
    assert mfcore("export", *both).document["reused"]
    events = lists[lists["team"] == "previous"][["user_id", "item_id"]].assign(event="clicked", time=4_000_000_000)
    events.to_csv(place / "events.csv", index=False)
    (told,) = mfcore("feedback", place / "events.csv", "--dataset", NAME, "--json").document
    assert (told["contender"], told["preferred"]) == (f"previous, version {after['previous']}", 1.0)
    alone = mfcore("export", "--dataset", NAME, "--json").document
    assert "team" not in pd.read_parquet(Path(alone["path"]) / "recommendations.parquet")
