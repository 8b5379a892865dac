"""What people get wrong: one clear message, the right exit code, nothing half written."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.flows.conftest import SMALL, Mfcore, Outcome, free_port


def ratings(n: int = 400) -> pd.DataFrame:
    pairs = np.random.default_rng(0).permutation(30 * 25)[:n]
    return pd.DataFrame({"user_id": pairs // 25, "item_id": pairs % 25, "rating": pairs % 5 + 1, "timestamp": 10**9})


def refused(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    for word in words:
        assert word in outcome.err
    message = [line for line in outcome.err.splitlines() if line.startswith("mfcore: ")]
    assert len(message) == 1
    assert "Traceback" not in outcome.err + outcome.out


@pytest.fixture(autouse=True)
def nothing_half_written(place: Path) -> Iterator[None]:
    yield
    assert [path for path in place.rglob("*.tmp") if "mlruns" not in path.parts] == []


def check(mfcore: Mfcore, file: Path, *options: str) -> Outcome:
    assert mfcore("download", "--dataset", file).code == 0
    return mfcore("validate", "--dataset", file, *options)


def test_missing_columns(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "columns.csv"
    ratings().rename(columns={"user_id": "customer"}).to_csv(file, index=False)
    refused(check(mfcore, file), 3, "columns.csv", "'user_id'", "customer", "dataset.user_column")
    assert check(mfcore, file, "--set", "dataset.user_column=customer").code == 0


def test_text_ratings(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "text.csv"
    frame = ratings().astype({"rating": object})
    frame.loc[:40, "rating"] = "good"
    frame.to_csv(file, index=False)
    outcome = check(mfcore, file)
    refused(outcome, 3, "quarantine")
    (aside,) = Path(".mfcore/quarantine").glob("text-*.csv")
    assert str(aside) in outcome.err
    rows = pd.read_csv(aside)
    assert len(rows) == 41
    assert rows["row"].tolist() == list(range(2, 43))
    assert rows["reason"].str.contains("good").all()


def test_a_few_bad_rows_are_set_aside_and_the_rest_goes_on(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    frame = ratings().astype({"rating": object})
    frame.loc[7, "rating"] = "good"
    frame.loc[9, "rating"] = np.nan
    frame.to_csv(file, index=False)
    outcome = check(mfcore, file, "--json")
    assert (outcome.code, outcome.document["details"]["ratings"], outcome.document["details"]["quarantined"]) == (
        0,
        398,
        2,
    )


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_read_all_the_same(mfcore: Mfcore, tmp_path: Path, separator: str) -> None:
    file = tmp_path / f"sep-{ord(separator)}.csv"
    ratings().to_csv(file, index=False, sep=separator)
    assert check(mfcore, file, "--json").document["details"]["ratings"] == 400


def test_a_separator_nobody_uses(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    ratings().to_csv(file, index=False, sep="~")
    refused(check(mfcore, file), 3, "odd.csv", "separator")


def test_an_empty_file(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text("")
    refused(mfcore("download", "--dataset", file), 3, "empty.csv is empty")
    file = tmp_path / "header.csv"
    file.write_text("user_id,item_id,rating\n")
    refused(check(mfcore, file), 3)


def test_ratings_out_of_scale(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "scale.csv"
    frame = ratings()
    frame.loc[:50, "rating"] = 11
    frame.to_csv(file, index=False)
    scale = ("--set", "dataset.scale_min=1", "--set", "dataset.scale_max=5", "--set", "dataset.scale_step=1")
    refused(check(mfcore, file, *scale), 3, "quarantine")


@pytest.mark.slow
def test_one_pair_twice_with_different_ratings(mfcore: Mfcore, tmp_path: Path) -> None:
    file = tmp_path / "twice.csv"
    frame = pd.concat(
        [ratings(), ratings().head(3).assign(rating=lambda f: f["rating"] % 5 + 1, timestamp=2 * 10**9 - 10**8)]
    )
    frame.assign(timestamp=np.arange(len(frame)) + 10**9).to_csv(file, index=False)
    kept = check(mfcore, file, "--json").document
    assert kept["details"]["ratings"] == 400
    strict = ("--set", "validation.duplicates=error", "--set", "validation.max_quarantined=0")
    refused(check(mfcore, file, *strict), 3)


def test_an_unknown_name(mfcore: Mfcore) -> None:
    refused(mfcore("run", "--dataset", "ml-100"), 2, "'ml-100'", "did you mean 'ml-100k'")
    refused(mfcore("run", "--dataset", "nowhere/ratings.csv"), 4, "nowhere/ratings.csv")
    refused(mfcore("download", "--dataset", "synthetic:users=3"), 2, "items")


def test_no_network_at_all(mfcore: Mfcore, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, dead)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    refused(mfcore("download", "--dataset", "ml-100k"), 4, "ml-100k.zip", "recbole", "downloads")


def test_a_wrong_setting(mfcore: Mfcore) -> None:
    refused(mfcore("run", "--set", "tuning.n_trial=3"), 2, "did you mean 'n_trials'")
    refused(mfcore("run", "--algorithms", "als,svd"), 2, "unknown algorithm 'svd'")
    assert mfcore("run", "--trials", "0").code == 2


def test_before_there_is_a_champion(mfcore: Mfcore) -> None:
    for command in (("export",), ("recommend", "1"), ("similar", "Heat"), ("predict", "1", "2"), ("models",)):
        refused(mfcore(*command), 5, "mfcore run")
    refused(mfcore("export", "--dataset", "ml-100k"), 5, "mfcore run --dataset ml-100k")


def test_before_there_is_an_artifact(mfcore: Mfcore) -> None:
    refused(mfcore("evaluate"), 5, "no studies")
    refused(mfcore("split", "--from", "nowhere"), 5, "nowhere")


def test_an_unknown_user_or_item(mfcore: Mfcore) -> None:
    assert mfcore("run", "--dataset", SMALL, "--trials", "1", "--algorithms", "als").code == 0
    lists = mfcore("recommend", "1", "9999", "-k", 3, "--json")
    assert [row["known_user"] for row in lists.document] == [True] * 3 + [False] * 3
    assert "unknown user 9999" in lists.err
    assert "120 users" in lists.err
    refused(mfcore("similar", "no such film at all"), 2, "no such film at all")
    refused(mfcore("predict", "1", "no such film at all"), 2)
    assert mfcore("predict", "9999", "3", "--json").document["known_user"] is False


def test_a_home_that_cannot_be_written(mfcore: Mfcore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MFCORE_HOME", str(tmp_path / "file" / "home"))
    refused(mfcore("run", "--dataset", SMALL), 2, "cannot write", "MFCORE_HOME")


def test_a_store_that_cannot_be_reached(mfcore: Mfcore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    refused(mfcore("run", "--dataset", SMALL), 2, "tracking store", "MLFLOW_TRACKING_URI")


def test_errors_are_json_too(mfcore: Mfcore) -> None:
    outcome = mfcore("run", "--dataset", "ml-100", "--json")
    assert outcome.document["exit_code"] == outcome.code == 2
    assert "ml-100k" in outcome.document["error"]
