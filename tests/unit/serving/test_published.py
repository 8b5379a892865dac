"""Exports in an object store: whole versions, and a pointer that moves last."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from mfcore import load_export
from mfcore.config import ExportConfig
from mfcore.errors import NothingToWorkFrom, SourceUnavailable
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.serving import published
from mfcore.serving.export import export_model
from mfcore.serving.published import copied, fetch_version, latest_folder, old_objects, publish_export
from mfcore.serving.verify import verify_export
from mfcore.storage.bucket import Bucket
from mfcore.storage.retention import Rule, remove
from tests.contract.synthetic import synthetic_ratings


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)

    def made(version: int, **config: Any) -> Path:
        model = Model.of(ALS(n_factors=2, n_epochs=1, seed=version).train(ratings), ratings, None)
        folder = tmp_path / str(version)
        export_model(model, folder, {"model_version": version}, ExportConfig(**config))
        return folder

    return made


@pytest.fixture
def shelf() -> Bucket:
    return Bucket(f"memory://exports-{uuid4().hex}/shop")


def test_a_published_export_is_the_one_that_was_made(export: Callable[..., Path], shelf: Bucket) -> None:
    with pytest.raises(NothingToWorkFrom, match="there is no export memory://"):
        load_export(f"{shelf.url}/latest")
    folder = export(1)
    url = publish_export(folder, shelf.url)
    for head in ("rating", "ranking"):
        assert (load_export(f"{shelf.url}/latest", head).item_factors == load_export(folder, head).item_factors).all()
    with copied(f"{shelf.url}/latest") as copy:
        assert verify_export(copy) == verify_export(folder)
    assert not copy.exists()
    before = shelf.touched()
    assert publish_export(folder, shelf.url) == url and shelf.touched() == before


def test_another_export_of_a_version_leaves_the_first_as_it_is(export: Callable[..., Path], shelf: Bucket) -> None:
    first = publish_export(export(1), shelf.url)
    files = Bucket(first).checksums()
    second = publish_export(export(1, n_similar=3), shelf.url)
    assert second != first and Bucket(first).checksums() == files
    assert second.endswith(f"/{latest_folder(shelf)}")


def test_what_is_cut_off_is_never_the_latest_and_goes(
    export: Callable[..., Path], shelf: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_export(export(1), shelf.url)
    before = latest_folder(shelf)
    put = Bucket.send

    def cut_off(self: Bucket, folder: Path, last: str) -> None:
        for file in sorted(folder.glob("*.parquet"))[:3]:
            self.write(file.name, "half")
        raise SourceUnavailable("cut off")

    monkeypatch.setattr(Bucket, "send", cut_off)
    with pytest.raises(SourceUnavailable):
        publish_export(export(2), shelf.url)
    assert latest_folder(shelf) == before
    assert load_export(f"{shelf.url}/latest") is not None
    assert not fetch_version(2, shelf.url, export(1).parent / "back")
    (half,) = (name for name in shelf.names() if name.startswith("2-"))

    monkeypatch.setattr(Bucket, "send", put)
    publish_export(export(1), shelf.url)
    assert half in shelf.names()  # who writes it may still be at work
    monkeypatch.setattr(published, "ABANDONED_AFTER_S", -1)
    publish_export(export(1), shelf.url)
    assert half not in shelf.names() and latest_folder(shelf) == before
    publish_export(export(2), shelf.url)
    with copied(f"{shelf.url}/latest") as copy:
        assert json.loads((copy / "manifest.json").read_text())["model_version"] == 2


def test_damage_is_told_by_the_url(export: Callable[..., Path], shelf: Bucket) -> None:
    url = publish_export(export(1), shelf.url)
    Bucket(url).write("item_factors.parquet", "damaged")
    with pytest.raises(SourceUnavailable, match=rf"^{url} is no whole export"):
        load_export(f"{shelf.url}/latest")


def test_old_exports_go_but_not_what_is_latest_or_needed(export: Callable[..., Path], shelf: Bucket) -> None:
    for version in (1, 2, 3, 4):
        publish_export(export(version), shelf.url)
    publish_export(export(2), shelf.url)
    root, rule = shelf.url.rpartition("/")[0], Rule(before=1e12, keep=1)
    found = old_objects(root, rule, lambda dataset: {1} if dataset == "shop" else set())
    assert [one.name[0] for one in found] == ["3"]
    assert found[0].n_bytes > 1000
    for one in found:
        remove(one)
    assert sorted(name[0] for name in shelf.names()) == ["1", "2", "4", "l"]
