"""Raw files, once."""

from pathlib import Path

import pandas as pd
import pytest

from mfcore.errors import SourceUnavailable
from mfcore.stages.context import Context
from mfcore.stages.download import download_raw
from mfcore.storage.kinds import Kind
from tests.unit.stages.conftest import NAME, Recorder, configured, settings_in


def test_raw_files_are_fetched_once(context: Context, recorder: Recorder) -> None:
    raw, again = download_raw(context), download_raw(context)
    assert (raw.kind, raw.dataset, raw.reused) == (Kind.RAW, NAME, False)
    assert (again.path, again.reused) == (raw.path, True)
    assert len(pd.read_parquet(next(raw.path.glob("*.parquet")))) == 900
    assert recorder.steps == ["fetch", "fetch"]


def test_a_file_that_changed_is_another_input_of_the_same_data_set(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    context = Context(configured(dataset=str(file)), settings=settings_in(tmp_path))
    with pytest.raises(SourceUnavailable, match=r"shop\.csv"):
        download_raw(context)
    file.write_text("user_id,item_id,rating\n1,2,3\n")
    one = download_raw(context)
    file.write_text("user_id,item_id,rating\n1,2,4\n")
    other = download_raw(context)
    assert one.dataset == other.dataset
    assert one.fingerprint != other.fingerprint
