"""A bundle that is not what was registered is refused by name, and nothing in it is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfcore.errors import SourceUnavailable
from mfcore.models.model import Model
from mfcore.storage.artifacts import write_manifest
from mfcore.tracking.bundle import load_bundle, save_bundle
from tests.unit.traps import Trap, npy


@pytest.fixture(scope="module")
def whole(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    save_bundle(model, folder)
    return folder


def changed(name: str, **values: Any) -> Callable[[Path], bytes]:
    """The JSON file with other values."""
    return lambda folder: json.dumps({**json.loads((folder / name).read_text()), **values}).encode()


DAMAGES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "a pickle": ("rating/user_bias.npy", lambda _: pickle.dumps(Trap())),
    "objects": ("rating/item_bias.npy", lambda _: npy(np.array([Trap()] * 30, object))),
    "an archive": ("rating/item_bias.npy", lambda _: b"PK\x05\x06" + bytes(18)),
    "nothing": ("rating/user_factors.npy", lambda _: b""),
    "half": ("rating/user_factors.npy", lambda folder: (folder / "rating/user_factors.npy").read_bytes()[:200]),
    "another shape": ("rating/item_factors.npy", lambda _: npy(np.zeros((29, 4), np.float32))),
    "another dtype": ("rating/item_factors.npy", lambda _: npy(np.zeros((30, 4), np.float64))),
    "NaN": ("rating/user_factors.npy", lambda _: npy(np.full((40, 4), np.nan, np.float32))),
    "infinity": ("rating/item_bias.npy", lambda _: npy(np.full(30, np.inf, np.float32))),
    "an item too many": ("rated_items.npy", lambda _: npy(np.full(600, 30, np.int32))),
    "an item below 0": ("rated_items.npy", lambda _: npy(np.full(600, -2, np.int32))),
    "starts that fall": ("rated_starts.npy", lambda _: npy(np.r_[0, 600, np.arange(39)].astype(np.int64))),
    "starts beyond the end": ("rated_starts.npy", lambda _: npy(np.r_[np.zeros(40), 10**9].astype(np.int64))),
    "a part's odd array": ("rating/part-000-precision.npy", lambda _: npy(np.zeros((5, 4), np.float32))),
    "another link": ("rating/factors.json", changed("rating/factors.json", link="exec")),
    "a mean of NaN": ("rating/factors.json", changed("rating/factors.json", global_mean=float("nan"))),
    "no JSON": ("rating/factors.json", lambda _: b"{"),
    "ids that are no table": ("rating/user_ids.parquet", lambda _: b"PAR1"),
    "titles that are no table": ("titles.parquet", lambda _: b"PAR1"),
}


@pytest.mark.parametrize("is_hidden", [False, True], ids=["manifest_as_it_was", "manifest_made_to_fit"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_is_refused_by_name(
    damage: str, is_hidden: bool, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "bundle"
    shutil.copytree(whole, folder)
    name, content = DAMAGES[damage]
    (folder / name).write_bytes(content(whole))
    if is_hidden:
        (folder / "manifest.json").unlink()
        write_manifest(folder, kind="model")
    with pytest.raises(SourceUnavailable) as caught:
        load_bundle(folder, "models:/mfcore-films/3")
    message = str(caught.value)
    assert message.startswith("models:/mfcore-films/3 is damaged") and "\n" not in message
    # What starts and items say of each other is told of the items.
    assert Path(name).name in message or (name == "rated_starts.npy" and "rated_items.npy" in message)
    assert not (tmp_path / "trapped").exists()


def test_a_bundle_without_a_file_or_a_manifest_is_refused(whole: Path, model: Model, tmp_path: Path) -> None:
    loaded = load_bundle(whole, "it")
    np.testing.assert_array_equal(loaded.factors.user_factors, model.factors.user_factors)
    np.testing.assert_array_equal(loaded.rated.items, model.rated.items)
    for name in ("manifest.json", "rated_items.npy"):
        shutil.copytree(whole, tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(SourceUnavailable, match=name):
            load_bundle(tmp_path / name, "it")
