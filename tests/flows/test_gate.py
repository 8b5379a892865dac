"""Champion and challenger over several nights, through the command."""

import pytest

from tests.flows.conftest import Mfcore, ran

DATASET = "synthetic:users=150,items=60,ratings=6000,seed=1"
NAME = "synthetic-150x60-6000-seed1"


def run(mfcore: Mfcore, *options: str) -> dict:  # type: ignore[type-arg]
    return ran(mfcore, "--dataset", DATASET, "--algorithms", "als", *options)


@pytest.fixture(scope="module")
def poor_then_good(mfcore: Mfcore) -> tuple[dict, dict]:  # type: ignore[type-arg]
    poor = run(mfcore, "--trials", "1", "--set", "tuning.max_epochs=1")
    return poor, run(mfcore, "--trials", "3")


def versions(mfcore: Mfcore) -> dict[int, dict]:  # type: ignore[type-arg]
    return {one["version"]: one for one in mfcore("models", "--dataset", NAME, "--json").document}


def test_a_better_recipe_takes_the_champions_place(mfcore: Mfcore, poor_then_good: tuple[dict, dict]) -> None:  # type: ignore[type-arg]
    poor, good = poor_then_good
    assert (poor["version"], good["version"]) == (1, 2)
    assert good["metrics"]["test_rmse"] < poor["metrics"]["test_rmse"]
    assert (versions(mfcore)[1]["aliases"], versions(mfcore)[2]["aliases"]) == (["previous"], ["champion"])


def test_a_worse_recipe_becomes_the_challenger_and_the_champions_is_kept(
    mfcore: Mfcore,
    poor_then_good: tuple[dict, dict],  # type: ignore[type-arg]
) -> None:
    kept = run(mfcore, "--trials", "1", "--set", "tuning.max_epochs=1", "--set", "split.seed=3")
    assert kept["version"] == 2
    after = versions(mfcore)
    assert after[2]["aliases"] == ["champion"]
    (challenger,) = (one for one in after.values() if "challenger" in one["aliases"])
    assert challenger["recipe"]["params"]["n_epochs"] == 1
    assert challenger["metrics"]["test_rmse"] > after[2]["metrics"]["test_rmse"]


def test_back_and_forth_by_hand(mfcore: Mfcore, poor_then_good: tuple[dict, dict]) -> None:  # type: ignore[type-arg]
    assert mfcore("rollback", "--dataset", NAME, "--json").document[0]["version"] == 1
    assert versions(mfcore)[2]["aliases"] == ["previous"]
    assert mfcore("promote", 2, "--dataset", NAME, "--json").document[0]["version"] == 2
    refused = mfcore("promote", 99, "--dataset", NAME)
    assert (refused.code, "no version 99" in refused.err) == (2, True)
    table = mfcore("models", "--dataset", NAME)
    assert "champion" in table.out
