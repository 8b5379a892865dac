"""The search as a part of the chain: Ctrl-C, the champion, Prefect's progress, workers."""

import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from mfcore.storage.artifacts import ArtifactStore
from mfcore.tuning import Tuned
from mfcore.tuning.search import Search
from tests.flows.conftest import SMALL, Mfcore

ALGORITHMS = ("--set", "tuning.rating=als,sgd", "--set", "tuning.ranking=[]")
SETTINGS = ("--dataset", SMALL, *ALGORITHMS, "--set", "tuning.sampler=random")


def studies(path: str | None = None) -> dict[str, Tuned]:
    folder = Path(path) if path else ArtifactStore(Path(".mfcore").absolute()).newest("studies").path
    return {name: Tuned.model_validate(one) for name, one in json.loads((folder / "tuned.json").read_text()).items()}


@pytest.fixture(scope="module")
def interrupted(mfcore: Mfcore) -> Any:
    """A run that gets Ctrl-C when its fourth trial is finished."""
    real, ended = Search.finish, 0

    def finish(*arguments: Any) -> None:
        nonlocal ended
        real(*arguments)
        ended += 1
        if ended == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Search, "finish", finish)
        return mfcore("run", *SETTINGS, "--trials", 6, "--json")


@pytest.mark.slow
def test_ctrl_c_goes_on_with_the_best_so_far(interrupted: Any) -> None:
    assert interrupted.code == 0, interrupted.err
    assert [stage["status"] for stage in interrupted.document["stages"].values()] == ["made"] * 7
    assert interrupted.document["algorithm"] == "als"
    assert "rating-sgd: no trial was finished; it is left out" in interrupted.err
    found = studies()
    assert list(found) == ["rating-als"]
    assert found["rating-als"].interrupted
    assert len(found["rating-als"].trials) == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_asked_again_it_goes_on_where_it_stopped(interrupted: Any, mfcore: Mfcore) -> None:
    before = studies()["rating-als"]
    again = mfcore("tune", *SETTINGS, "--set", "tuning.n_trials=6", "--json")
    assert again.code == 0, again.err
    assert not again.document["reused"]
    found = studies()
    assert [len(tuned.trials) for tuned in found.values()] == [6, 6]
    assert found["rating-als"].trials[:4] == before.trials
    assert not found["rating-als"].interrupted


@pytest.mark.slow
def test_the_next_study_begins_with_the_champion(interrupted: Any, mfcore: Mfcore) -> None:
    (champion, *_) = mfcore("models", "--json").document
    outcome = mfcore("tune", *SETTINGS, "--set", "tuning.seed=1", "--set", "tuning.n_trials=2", "--json")
    assert outcome.code == 0, outcome.err
    recipe = champion["recipes"]["rating"]
    second = studies(outcome.document["path"])[f"rating-{recipe['algorithm']}"].trials[1]
    assert {**second.params, "n_epochs": 0} == {**recipe["params"], "n_epochs": 0}


@pytest.mark.slow
def test_prefect_shows_how_far_the_search_is(interrupted: Any, prefect_server: dict[str, str]) -> None:
    request = urllib.request.Request(
        f"{prefect_server['PREFECT_API_URL']}/artifacts/filter",
        data=json.dumps({"artifacts": {"type": {"any_": ["progress"]}}}).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        shown = [one for one in json.load(answer) if one["key"] == "tuning-rating-als-synthetic-120x60-3000"]
    assert 100.0 in [one["data"] for one in shown]
    assert any("6 of 6 trials of rating-als best 0." in one["description"] for one in shown)


def test_a_space_that_cannot_be_is_refused_before_anything_is_fetched(mfcore: Mfcore) -> None:
    outcome = mfcore("run", "--dataset", "ml-100k", "--set", "tuning.space.als.n_factor=3")
    assert outcome.code == 2
    assert "als has no hyper-parameter 'n_factor'; did you mean 'n_factors'" in outcome.err
    assert not list(Path(".mfcore").glob("raw/ml-100k*"))
