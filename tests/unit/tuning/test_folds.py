from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from mfcore.config import TuningConfig
from mfcore.errors import UsageError
from mfcore.metrics.yardstick import Yardstick
from mfcore.tuning import tune
from mfcore.tuning.folds import folds_of, sampled
from tests.unit.tuning.test_search import changed, parts


@pytest.mark.parametrize("sample", [30, 0.25])
def test_a_sample_has_all_ratings_of_its_users_and_no_others(sample: float) -> None:
    whole = parts()
    drawn = sampled(*whole, TuningConfig(sample=sample))
    again = sampled(*whole, TuningConfig(sample=sample))
    other = sampled(*whole, TuningConfig(sample=sample, seed=1))
    assert np.array_equal(drawn[0].user_ids, again[0].user_ids)
    assert not np.array_equal(drawn[0].user_ids, other[0].user_ids)
    for part, small in zip(whole, drawn, strict=True):
        assert small.n_users == 30
        assert np.array_equal(small.item_ids, part.item_ids)
        own = part.take(np.flatnonzero(np.isin(part.user_ids[part.users], small.user_ids)))
        assert own.to_frame().drop(columns="timestamp").equals(small.to_frame())


def test_users_who_have_no_ratings_in_either_part_are_not_drawn() -> None:
    train, validation = parts()
    of_few = [part.take(np.flatnonzero(part.users < 40)) for part in (train, validation)]
    drawn = sampled(of_few[0], of_few[1], TuningConfig(sample=39))
    assert drawn[0].n_users == 39
    assert np.isin(drawn[0].user_ids, train.user_ids[:40]).all()


def test_as_many_users_as_there_are_is_all_of_them() -> None:
    whole = parts()
    assert sampled(*whole, TuningConfig(sample=120)) == whole
    assert sampled(*whole, TuningConfig()) == whole


def test_too_few_users_to_tune_on_are_refused() -> None:
    train, validation = parts()
    with pytest.raises(UsageError, match=r"tuning.sample = 2: the 2 users that are drawn have .* 0 validation ratings"):
        sampled(train, validation.take(np.arange(0)), TuningConfig(sample=2))
    for sample in (0, 1, 1.0, -0.5, 1.5):
        with pytest.raises(ValidationError, match="sample"):
            TuningConfig(sample=sample)


def test_a_study_is_trained_and_scored_on_its_sample(tmp_path: Path) -> None:
    config = changed(sample=60, n_trials=2, max_epochs=3)
    tuned = tune("als", *parts(), config, tmp_path / "study.log")
    ((train, validation),) = folds_of(*parts(), config, Yardstick())
    assert train.n_users == 60
    assert Yardstick().on(train, validation)(tuned.recipe.build().train(train)) == tuned.value
