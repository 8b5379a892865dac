"""Ratings in three parts, made again where the configuration changes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import Split, split
from mfcore.data.synthetic import synthesize
from mfcore.stages.context import Context
from mfcore.stages.split import split_ratings
from mfcore.storage.artifacts import Artifact
from mfcore.storage.kinds import Kind
from tests.unit.stages.conftest import NAME, configured

RATINGS = Ratings.from_frame(synthesize(60, 30, 900).frame, Scale(1, 5, 1))


@pytest.fixture
def ratings(context: Context) -> Artifact:
    def write(folder: Path) -> dict[str, Any]:
        RATINGS.save(folder)
        return {}

    return context.store.make(Kind.RATINGS, NAME, "key", write)


def test_the_split_is_the_librarys(context: Context, ratings: Artifact) -> None:
    parts = split_ratings(context, ratings)
    assert parts.inputs == {"ratings": ratings.path.name}
    assert parts.details == {"train": 720, "validation": 90, "test": 90, "dropped": {}}
    made, expected = Split.load(parts.path), split(RATINGS, context.config.split)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(made, part), getattr(expected, part))


def test_it_is_reused_until_a_setting_of_its_own_changes(context: Context, ratings: Artifact) -> None:
    first = split_ratings(context, ratings)
    other = Context(configured("tuning.n_trials=3"), settings=context.settings)
    assert split_ratings(other, ratings).path == first.path
    changed = Context(configured("split.seed=1"), settings=context.settings)
    assert split_ratings(changed, ratings).path != first.path


def test_it_works_from_the_newest_ratings_of_the_data_set(context: Context, ratings: Artifact) -> None:
    context.store.make(Kind.RATINGS, "another", "key", lambda folder: {})
    assert split_ratings(context).inputs == {"ratings": ratings.path.name}
