"""What people did, beside an implementation that goes row by row."""

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.evaluation.feedback import VersionFeedback, figures_of
from mfcore.models import Recipe
from mfcore.models.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    ratings = Ratings.from_frame(synthesize(80, 40, 900).frame, Scale(1, 5, 1))
    return Model.of(Recipe(algorithm="als", params={"n_factors": 3}).build().train(ratings), ratings, None)


@pytest.fixture(scope="module")
def events(model: Model) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "user_id": rng.choice([*model.user_ids, 999], n).astype(str),
            "item_id": rng.choice([*model.item_ids, 888], n),
            "event": rng.choice(["clicked", "rated"], n),
        }
    )
    return frame.assign(rating=np.where(frame["event"] == "rated", rng.integers(1, 6, n), np.nan))


def found(model: Model, events: pd.DataFrame) -> VersionFeedback:
    return figures_of(3, model.recommend(model.user_ids, 10), model.factors, events)


def listed(model: Model) -> set[tuple[int, int]]:
    return set(model.recommend(model.user_ids, 10)[["user_id", "item_id"]].itertuples(index=False, name=None))


def test_hit_rate_and_error_are_those_counted_by_hand(model: Model, events: pd.DataFrame) -> None:
    lists, known = listed(model), set(model.user_ids)
    audience = {int(one.user_id) for one in events.itertuples() if int(one.user_id) in known}
    hits = {int(one.user_id) for one in events.itertuples() if (int(one.user_id), one.item_id) in lists}
    errors = [
        float(model.predict(one.user_id, one.item_id)[0]) - one.rating
        for one in events.itertuples()
        if one.event == "rated" and int(one.user_id) in known and one.item_id in set(model.item_ids)
    ]
    one = found(model, events)
    assert (one.version, one.users, one.ratings) == (3, len(audience), len(errors))
    assert one.hit_rate == pytest.approx(len(hits) / len(audience))
    assert one.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)
    assert one.hit_rate_low is not None and one.hit_rate_high is not None
    assert one.hit_rate_low < one.hit_rate < one.hit_rate_high
    assert one.rmse_low is not None and one.rmse_high is not None and one.rmse_low < one.rmse < one.rmse_high
    assert found(model, events.sample(frac=1, random_state=1)) == one


def test_who_was_not_shown_their_list_does_not_count(model: Model, events: pd.DataFrame) -> None:
    shown = model.recommend(model.user_ids[:12], 10).assign(event="shown", rating=np.nan)
    hits = shown.groupby("user_id").head(1).head(3).assign(event="clicked")
    elsewhere = shown.head(1).assign(user_id=model.user_ids[40], event="clicked")
    one = found(model, pd.concat([shown, hits, elsewhere])[events.columns.tolist()])
    assert (one.users, one.hit_rate) == (12, 0.25)
    assert (one.ratings, one.rmse, one.rmse_low) == (0, None, None)


def test_few_users_have_no_interval(model: Model) -> None:
    shown = model.recommend(model.user_ids[:4], 5).assign(event="shown", rating=np.nan)
    one = found(model, shown)
    assert (one.users, one.hit_rate, one.hit_rate_low, one.metrics) == (
        *(4, 0.0, None),
        {"users": 4, "hit_rate": 0.0, "ratings": 0},
    )


def test_teams_are_credited_with_what_people_picked(model: Model, events: pd.DataFrame) -> None:
    lists = model.recommend(model.user_ids, 10)
    is_second = lists["rank"] % 2 == 0
    lists = lists.assign(team=np.where(is_second, "challenger", "champion"), team_version=np.where(is_second, 7, 3))
    teams = {(one.user_id, one.item_id): one.team for one in lists.itertuples()}
    picked: dict[int, list[str]] = {}
    for user, item in set(events[["user_id", "item_id"]].itertuples(index=False, name=None)):
        if team := teams.get((int(user), item)):
            picked.setdefault(int(user), []).append(team)
    leads = [some.count("challenger") - some.count("champion") for some in picked.values()]
    one = figures_of(3, lists, model.factors, events)
    assert (one.contender, one.choosers) == ("challenger, version 7", len(leads))
    assert one.preferred == pytest.approx(np.mean([(np.sign(lead) + 1) / 2 for lead in leads]))
    assert one.preferred_low is not None and one.preferred_low < one.preferred < (one.preferred_high or 0)
    assert one.metrics["preferred"] == one.preferred and "contender" not in one.metrics
    alone = figures_of(3, lists.assign(team="champion", team_version=3), model.factors, events)
    assert (alone.contender, alone.preferred) == (None, 0)
    assert found(model, events).choosers is None
