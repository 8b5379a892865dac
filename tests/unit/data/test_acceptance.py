"""Each case of what people bring ends as the table in `mfcore/data/README.md` says."""

import re
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest

from mfcore.config import DatasetConfig, ValidationConfig
from mfcore.data.catalog import resolve
from mfcore.data.checks import CheckResult, check
from mfcore.data.readers import Tables, read
from mfcore.data.scales import observe
from mfcore.data.sources import fetch
from mfcore.errors import DataInvalid, MfcoreError
from tests.unit.data.cases import CASES, RATINGS, ROWS, Case, Row


def read_case(case: Case, folder: Path) -> Tables:
    """The ratings of a case, as a run reads them."""
    files = case.files()
    source = folder / "theirs"
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    named = source / next(iter(files)) if len(files) == 1 and case.gives != "counts" else source
    config = DatasetConfig(name=str(named), **case.config)
    raw = folder / "raw"
    raw.mkdir()
    return read(raw, fetch(resolve(config), raw, folder / "downloads"), config)


def assert_reads_well(text: str, most_lines: int = 2) -> None:
    """One or two lines, each of which ends once; a path may hold two dots."""
    assert 1 <= len(text.splitlines()) <= most_lines
    assert not re.search(r"(?<![./])\.\.(?![./])|[.,;:]\s+[.,;:]|,,|…\.|\s$", text), text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_what_people_bring_is_accepted_warned_about_or_refused(case: Case, tmp_path: Path) -> None:
    if case.outcome == "refused":
        with pytest.raises(DataInvalid if "sound" not in case.says else MfcoreError) as raised:
            read_case(case, tmp_path)
        assert case.says in str(raised.value)
        assert_reads_well(str(raised.value))
        return
    tables = read_case(case, tmp_path)
    frame = tables.ratings
    observed = observe(frame["rating"].to_numpy(), tables.scale, tables.given)
    said = observed.warnings if case.outcome == "warned about" else (*tables.notes, *observed.notes)
    assert case.says in "\n".join(said)
    for one in (*tables.notes, *observed.notes, *observed.warnings):
        assert_reads_well(one, most_lines=1)
    assert len(tables.unread) == 0
    assert case.outcome == "warned about" or not observed.warnings
    if case.gives == "counts":
        assert len(frame) == (len(RATINGS) if case.n_ratings is None else case.n_ratings)
        assert frame.notna().all(axis=None)
        return
    for name in ("user_id", "item_id"):
        assert frame[name].dtype == np.int64
    expected = RATINGS
    if case.gives == "no times":
        expected = RATINGS.drop(columns="timestamp")
    elif case.gives == "days":
        expected = RATINGS.assign(timestamp=RATINGS["timestamp"] // 86_400 * 86_400)
    keys = ["user_id", "item_id"]
    pd.testing.assert_frame_equal(
        frame.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True), check_dtype=False
    )


@pytest.fixture(scope="module")
def checked() -> CheckResult:
    """The good ratings and after them each of `ROWS`, checked."""
    text = RATINGS.to_csv(index=False) + "".join(f"{one.row}\n" for one in ROWS)
    case = Case("", "", lambda: {"a.csv": text.encode()})
    return check(read_case(case, Path(mkdtemp())), ValidationConfig(max_quarantined=0.5))


@pytest.mark.parametrize("number", range(len(ROWS)), ids=[one.what for one in ROWS])
def test_a_row_is_taken_out_with_the_reason(checked: CheckResult, number: int) -> None:
    one: Row = ROWS[number]
    row = len(RATINGS) + 2 + number
    reasons = checked.quarantine.set_index("row")["reason"]
    assert (row in reasons.index) == bool(one.reason)
    if one.reason:
        assert reasons[row].startswith(one.reason)
        assert row not in checked.ratings.index


def test_the_good_rows_beside_bad_ones_stay(checked: CheckResult) -> None:
    kept = checked.ratings.loc[: len(RATINGS) + 1]
    assert kept["user_id"].dtype == np.int64
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), RATINGS, check_dtype=False)


def test_every_kind_of_outcome_is_among_the_cases() -> None:
    assert {case.outcome for case in CASES} == {"accepted", "warned about", "refused"}
    assert len({(case.kind, case.what) for case in CASES}) == len(CASES)
