from pathlib import Path

import numpy as np
import pytest

from mfcore.errors import SourceUnavailable
from mfcore.models.rated import RatedItems


def rated(starts: list[int], items: list[int]) -> RatedItems:
    return RatedItems(np.array(starts, np.int64), np.array(items, np.int32))


def test_rows_of_some_users_and_of_an_unknown_one() -> None:
    bounds, items = rated([0, 2, 2, 3], [4, 1, 0]).rows(np.array([2, -1, 0], np.int32))
    assert bounds.tolist() == [0, 1, 1, 3] and items.tolist() == [0, 4, 1]


@pytest.mark.parametrize(
    ("starts", "items"), [([], []), ([1, 2], [0, 1]), ([0, 3], [0, 1]), ([0, 2, 1, 2], [0, 1]), ([0, 1], [-1])]
)
def test_what_leads_out_of_the_array_is_refused(starts: list[int], items: list[int]) -> None:
    with pytest.raises(ValueError):
        rated(starts, items)


def test_a_file_about_others_is_refused(tmp_path: Path) -> None:
    rated([0, 2, 3], [4, 1, 0]).save(tmp_path)
    assert RatedItems.load(tmp_path, 2, 5).items.tolist() == [4, 1, 0]
    with pytest.raises(SourceUnavailable, match="rated_items.npy is not about"):
        RatedItems.load(tmp_path, 2, 4)
    with pytest.raises(SourceUnavailable, match="rated_starts.npy holds"):
        RatedItems.load(tmp_path, 3, 5)
