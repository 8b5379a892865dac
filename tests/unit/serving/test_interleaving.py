"""Team draft: what a list may be made of, and that no team has the better places."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.config import ExportConfig
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving.export import export_model
from mfcore.serving.interleaving import Contender, interleaved, team_draft
from mfcore.serving.verify import verify_export
from tests.contract.synthetic import synthetic_ratings

ITEMS = st.lists(st.integers(0, 15), unique=True, max_size=12)


@settings(max_examples=40)
@given(ITEMS, ITEMS, st.integers(1, 14), st.integers(0, 99))
def test_each_team_picks_its_best_item_left_in_turns(first: list[int], second: list[int], k: int, seed: int) -> None:
    items, teams = team_draft(first, second, k, str(seed))
    assert (items, teams) == team_draft(first, second, k, str(seed))
    assert len(items) == len(set(items)) == min(k, len({*first, *second}))
    for place, (item, team) in enumerate(zip(items, teams, strict=True)):
        free = [[one for one in order if one not in items[:place]] for order in (first, second)]
        assert free[team][0] == item
        lead = teams[:place].count(team) - teams[:place].count(1 - team)
        assert lead <= 0 or not free[1 - team]


def test_every_place_is_either_teams_as_often() -> None:
    first, second = list(range(20)), list(range(20, 40))
    teams = np.array([team_draft(first, second, 10, f"user {number}")[1] for number in range(2000)])
    assert np.abs(teams.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(2000)
    assert (teams.sum(axis=1) == 5).all()


@pytest.fixture(scope="module")
def two() -> tuple[Model, Contender]:
    """A champion, and a contender that was trained on less."""
    ratings, _ = synthetic_ratings(n_users=30, n_items=24)
    fewer = ratings.take(np.arange(0, len(ratings), 2))
    champion = Model.of(ALS(n_factors=3, n_epochs=2).train(ratings), ratings, None)
    other = Model.of(ALS(n_factors=2, n_epochs=2, seed=5).train(fewer), fewer, None)
    return champion, Contender("challenger", 4, other)


def test_lists_are_the_champions_but_for_what_the_contender_picks(two: tuple[Model, Contender]) -> None:
    champion, contender = two
    frame = interleaved(champion, contender, champion.user_ids, 6, version=3, n_reasons=1)
    assert set(frame["team"]) == {"champion", "challenger"}
    assert (frame["team_version"] == frame["team"].map({"champion": 3, "challenger": 4})).all()
    own = champion.recommend(champion.user_ids, len(champion.item_ids), n_reasons=1)
    beside = frame.merge(own, on=["user_id", "item_id"], suffixes=("", "_own"))
    assert len(beside) == len(frame), "what a user has rated is in no list, whatever the contender knows"
    for name in ("score", "predicted_rating"):
        np.testing.assert_allclose(beside[name], beside[f"{name}_own"], rtol=1e-5)
    assert beside["because_1"].equals(beside["because_1_own"])
    again = interleaved(champion, contender, champion.user_ids[::-1], 6, version=3, n_reasons=1)
    some = champion.user_ids[4]
    pd.testing.assert_frame_equal(
        *(one[one["user_id"] == some].reset_index(drop=True) for one in (frame, again)), check_exact=False
    )


def test_an_interleaved_export_is_whole_and_made_anew_for_another_contender(
    two: tuple[Model, Contender], tmp_path: Path
) -> None:
    champion, contender = two
    config, target = ExportConfig(n_recommendations=5, interleave="champion,challenger"), tmp_path / "3"
    assert export_model(champion, target, {"model_version": 3}, config, contender=contender)
    verify_export(target)
    assert "team" in pd.read_parquet(target / "recommendations.parquet")
    assert not export_model(champion, target, {"model_version": 3}, config, contender=contender)
    another = Contender("challenger", 5, contender.model)
    assert export_model(champion, target, {"model_version": 3}, config, contender=another)
    assert set(pd.read_parquet(target / "recommendations.parquet")["team_version"]) == {3, 5}
