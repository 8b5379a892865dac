"""Past nights: what each knew, and how what it made is measured."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import UsageError
from mfcore.models import Recipe
from mfcore.models.lists import top_n
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.stages.context import Context
from mfcore.stages.replay import Replay, _churn, _ndcg, replay
from tests.unit.stages.conftest import configured, settings_in

DAY = timedelta(days=1)
FIRST = datetime(2020, 3, 1, tzinfo=UTC)
SMALL = (
    "tuning.rating=als",
    "tuning.ranking=",
    "tuning.n_trials=2",
    "tuning.max_epochs=2",
    "tuning.validation=single",
    "evaluation.max_baseline_items=0",
)


def model_of(frame: pd.DataFrame, seed: int = 0) -> Model:
    ratings = Ratings.from_frame(frame, Scale(1, 5, 1))
    return Model.of(
        Recipe(algorithm="als", params={"n_factors": 3, "seed": seed}).build().train(ratings), ratings, None
    )


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """1,400 ratings, of which 250 were given on each of the days around the first night."""
    found = synthesize(60, 40, 1400).frame.sample(frac=1, random_state=0).reset_index(drop=True)
    start = int((FIRST - DAY).timestamp())
    return found.assign(timestamp=start + np.maximum(0, found.index.to_numpy() - 650) * 24 * 3600 // 250)


def lists_by_user(model: Model, k: int) -> dict[int, list[int]]:
    lists = model.recommend(model.user_ids, k)
    return {user: some["item_id"].tolist() for user, some in lists.groupby("user_id")}


def test_churn_is_the_share_of_each_list_that_is_new(frame: pd.DataFrame) -> None:
    k = 7
    today, before = model_of(frame), model_of(frame[frame["user_id"] > 10].head(500), seed=1)
    codes = np.arange(len(today.user_ids), dtype=np.int32)
    ours, theirs = lists_by_user(today, k), lists_by_user(before, k)
    shares = [len(set(ours[user]) - set(theirs[user])) / len(ours[user]) for user in ours.keys() & theirs.keys()]
    lists = top_n(today.lists, codes, k, today.rated)[0]
    assert _churn(today, lists, before, k) == pytest.approx(np.mean(shares))
    assert 0 < np.mean(shares) < 1
    assert _churn(today, lists, today, k) == 0
    assert _churn(today, lists, model_of(frame.assign(user_id=frame["user_id"] + 1000)), k) is None


def test_lists_are_measured_on_what_known_users_went_on_to_like(frame: pd.DataFrame) -> None:
    k = 10
    known, after = frame.head(900), frame.tail(500)
    model = model_of(known)
    codes = np.arange(len(model.user_ids), dtype=np.int32)
    lists = top_n(model.lists, codes, k, model.rated)[0]
    found = _ndcg(model, lists, Ratings.from_frame(after, Scale(1, 5, 1)), k, None)
    gains = []
    items = set(model.item_ids.tolist())
    for user, listed in lists_by_user(model, k).items():
        own = after[(after["user_id"] == user) & (after["rating"] >= 4)]["item_id"]
        liked = set(own) & items
        if liked:
            gain = sum(1 / np.log2(place + 2) for place, item in enumerate(listed) if item in liked)
            gains.append(gain / sum(1 / np.log2(place + 2) for place in range(min(k, len(liked)))))
    assert found == pytest.approx(np.mean(gains))
    nobody = after.assign(user_id=after["user_id"] + 1000)
    assert _ndcg(model, lists, Ratings.from_frame(nobody, Scale(1, 5, 1)), k, None) is None


def replayed(settings: Settings, frame: pd.DataFrame, last: datetime) -> Replay:
    file = settings.home.parent / "shop.csv"
    frame.to_csv(file, index=False)
    return replay(Context(configured(*SMALL, dataset=str(file)), settings=settings), FIRST, last, DAY)


@pytest.mark.slow
def test_a_night_knows_what_was_known_then_and_a_longer_replay_goes_on(tmp_path: Path, frame: pd.DataFrame) -> None:
    settings = settings_in(tmp_path)
    (first,) = replayed(settings, frame, FIRST).nights
    assert first.n_known == (frame["timestamp"] < FIRST.timestamp()).sum()
    assert first.n_after == 250 and first.rmse is not None and 0.3 < first.rmse < 2
    assert first.churn is None and first.ndcg is not None and 0 < first.ndcg < 1
    assert first.heads == {"rating": "promoted"}

    longer = replayed(settings, frame, FIRST + DAY)
    assert longer.nights[0] == first
    assert longer.nights[1].n_known == first.n_known + first.n_after
    assert 0 < (longer.nights[1].churn or 0) < 1
    for name in ("replay.csv", "replay.png", "nights.json"):
        assert (longer.path / name).stat().st_size > 0
    assert len(pd.read_csv(longer.path / "replay.csv")) == 2
    assert Context(configured(), longer.dataset, settings=settings).registry.champion() is None

    # What comes later changes nothing but how it is measured.
    other = settings_in(tmp_path / "other")
    other.home.mkdir(parents=True)
    later = frame["timestamp"] >= FIRST.timestamp()
    changed = frame.assign(rating=frame["rating"].where(~later, 6 - frame["rating"]))
    (night,) = replayed(other, changed, FIRST).nights
    assert (night.n_known, night.heads) == (first.n_known, first.heads)
    assert night.rmse is not None and night.rmse > first.rmse


@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "first", "said"),
    [
        (["user_id", "item_id", "rating"], FIRST, "these ratings have no times"),
        (["user_id", "item_id", "rating", "timestamp"], FIRST - 9 * DAY, "no rating is from before 2020-02-21"),
    ],
)
def test_what_has_no_past_is_refused(
    tmp_path: Path, frame: pd.DataFrame, columns: list[str], first: datetime, said: str
) -> None:
    settings = settings_in(tmp_path)
    frame[columns].to_csv(tmp_path / "shop.csv", index=False)
    context = Context(configured(*SMALL, dataset=str(tmp_path / "shop.csv")), settings=settings)
    with pytest.raises(UsageError, match=said):
        replay(context, first, FIRST, DAY)
