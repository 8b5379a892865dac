"""Files in an S3-compatible store: there and back, and a store that does not answer."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mfcore.config import DatasetConfig
from mfcore.data.catalog import resolve
from mfcore.data.sources import fetch, identity
from mfcore.errors import DataInvalid, SourceUnavailable, UsageError
from mfcore.storage.bucket import Bucket
from tests.flows.conftest import free_port
from tests.object_store import BUCKET, object_store

URL = f"s3://{BUCKET}/data"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with object_store(tmp_path_factory.mktemp("store"), free_port()) as (environment, _):
        yield environment


@pytest.fixture
def store(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty folder of the store."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(URL)
    bucket.remove("nothing")
    return bucket


def test_files_go_there_and_back(store: Bucket, tmp_path: Path) -> None:
    (tmp_path / "some" / "deeper").mkdir(parents=True)
    for name, text in (("a.csv", "a"), ("deeper/b.csv", "b" * 10), ("manifest.json", "{}")):
        (tmp_path / "some" / name).write_text(text)
    store.send(tmp_path / "some", last="manifest.json")
    assert store.names() == ["a.csv", "deeper", "manifest.json"]
    assert (store.has("a.csv"), store.has("deeper"), store.has("c.csv"), store.size()) == (True, False, False, 13)
    assert abs(store.touched() - time.time()) < 60
    store.fetch(tmp_path / "back", lambda name: name.endswith(".csv"))
    assert (tmp_path / "back" / "deeper" / "b.csv").read_text() == "b" * 10
    assert not (tmp_path / "back" / "manifest.json").exists()
    (store / "deeper/b.csv").fetch(tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["b.csv"]

    before = store.checksums()
    store.write("a.csv", "A")
    after = store.checksums()
    assert {name for name in before if before[name] != after[name]} == {"a.csv"}
    store.remove("manifest.json")
    assert store.names() == [] and store.touched() == 0


@pytest.mark.parametrize("name", ["ratings.csv", ""])
def test_ratings_in_a_store_are_read_as_a_file_is(store: Bucket, tmp_path: Path, name: str) -> None:
    text = "user_id,item_id,rating\n1,2,3\n"
    store.write("ratings.csv", text)
    store.write("README.md", "no ratings")
    dataset = resolve(DatasetConfig(name=f"{URL}/{name}"))
    assert identity(dataset) == identity(dataset)
    (tmp_path / "raw").mkdir()
    details = fetch(dataset, tmp_path / "raw", tmp_path)
    assert (details["files"], details["source"]) == (["ratings.csv"], f"{URL}/{name}")
    assert (tmp_path / "raw" / "ratings.csv").read_text() == text
    before = identity(dataset)
    store.write("ratings.csv", text + "1,3,4\n")
    assert identity(dataset) != before
    named = resolve(DatasetConfig(name="mine", source=f"{URL}/{name}"))
    assert (named.name, identity(named)) == ("mine", identity(dataset))


def test_what_is_wrong_with_a_source_is_said_by_its_url(store: Bucket, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=rf"{URL}/none holds no ratings"):
        identity(resolve(DatasetConfig(name=f"{URL}/none")))
    with pytest.raises(SourceUnavailable, match=r"s3://nowhere/x is not there"):
        identity(resolve(DatasetConfig(name="s3://nowhere/x")))
    store.write("ratings.csv", "")
    (tmp_path / "raw").mkdir()
    with pytest.raises((DataInvalid, SourceUnavailable), match=rf"{URL}.* empty"):
        fetch(resolve(DatasetConfig(name=f"{URL}/ratings.csv")), tmp_path / "raw", tmp_path)
    with pytest.raises(ValueError, match="the url holds a password"):
        DatasetConfig(name="s3://me:secret@shop/x")
    with pytest.raises(UsageError, match="Protocol not known: nfs"):
        Bucket("nfs://shop/x").names()


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True])
def test_a_dead_store_is_one_line_within_30_s(silent: bool, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        if not silent:
            server.close()
        for work in (Bucket(URL).names, lambda: Bucket(URL).has("latest"), lambda: Bucket(URL).write("latest", "1")):
            began = time.monotonic()
            with pytest.raises(SourceUnavailable, match=rf"^cannot use {URL}: .*") as caught:
                work()
            assert time.monotonic() - began < 30
            assert "\n" not in str(caught.value) and "very-secret" not in str(caught.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceUnavailable, match="Unable to locate credentials"):
        Bucket(URL).names()
