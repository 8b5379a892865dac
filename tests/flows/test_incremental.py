"""Ratings that arrive bit by bit, from files and from a database."""

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.flows.conftest import Mfcore, Outcome

pytestmark = pytest.mark.slow


def ratings(start: int, n: int = 400, value: int | None = None) -> pd.DataFrame:
    pairs = (np.arange(start, start + n) * 7919) % (40 * 30)
    values = pairs % 5 + 1 if value is None else value
    return pd.DataFrame({"user_id": pairs // 30, "item_id": pairs % 30, "rating": values, "timestamp": 10**9 + start})


def bring(mfcore: Mfcore, file: Path, *options: str) -> Outcome:
    assert mfcore("download", "--dataset", "shop", "--source", file).code == 0
    return mfcore("validate", "--dataset", "shop", "--json", *options, "--set", f"dataset.source={file}")


def test_append_merges_and_says_when_there_is_nothing_new(mfcore: Mfcore, tmp_path: Path) -> None:
    append = ("--set", "dataset.mode=append")
    for day, start in (("1", 0), ("2", 300)):
        ratings(start).to_csv(tmp_path / f"{day}.csv", index=False)
    first = bring(mfcore, tmp_path / "1.csv", *append).document
    assert first["details"]["ratings"] == 400
    second = bring(mfcore, tmp_path / "2.csv", *append).document
    assert second["details"]["ratings"] == 700
    for day in ("1", "2"):
        again = bring(mfcore, tmp_path / f"{day}.csv", *append)
        assert "nothing new" in again.err
        assert again.document["fingerprint"] == second["fingerprint"]
    ratings(300, 50).to_csv(tmp_path / "part.csv", index=False)
    part = bring(mfcore, tmp_path / "part.csv", *append)
    assert "nothing new" in part.err
    assert part.document["reused"]


def test_drift_warns_or_stops_as_configured(mfcore: Mfcore, tmp_path: Path) -> None:
    ratings(0, 900, value=5).assign(rating=lambda frame: 4 + frame["item_id"] % 2).to_csv(
        tmp_path / "high.csv", index=False
    )
    stopped = bring(mfcore, tmp_path / "high.csv", "--set", "drift.stop_on=mean,histogram")
    assert (stopped.code, "drift: a mean rating of 4.5" in stopped.err) == (3, True)
    pages = Path(".mfcore/quarantine").absolute().glob("shop-*.html")
    assert any(str(page) in stopped.err for page in pages)
    warned = bring(mfcore, tmp_path / "high.csv")
    assert (warned.code, "drift: a mean rating of 4.5" in warned.err) == (0, True)


def test_ratings_from_a_database(mfcore: Mfcore, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        ratings(0).to_sql("ratings", database, index=False)
    where = ("--set", f"dataset.url=sqlite:///{tmp_path}/shop.db", "--dataset", "sql-shop")
    done = mfcore("run", *where, "--set", "dataset.table=ratings", "--trials", 1, "--algorithms", "als", "--json")
    assert done.code == 0, done.err
    assert done.document["champion"] == "mfcore-sql-shop"
    secret = ("--set", "dataset.url=postgresql://me:hunter2@127.0.0.1/x", "--set", "dataset.table=ratings")
    refused = mfcore("run", "--dataset", "sql-shop", *secret, "--json")
    assert refused.code == 2
    assert "hunter2" not in refused.err + refused.out
