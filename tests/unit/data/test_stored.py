"""Ratings and splits under the home folder that are not what was written are refused by name, and nothing is run."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import Split, split
from mfcore.data.synthetic import synthesize
from mfcore.errors import NothingToWorkFrom, SourceUnavailable
from mfcore.storage.artifacts import Artifact, ArtifactStore
from mfcore.storage.kinds import Kind
from tests.unit.traps import Trap, npy

N = 600
DAMAGES: dict[str, tuple[str, bytes]] = {
    "a pickle": ("ratings/users.npy", pickle.dumps(Trap())),
    "objects": ("ratings/values.npy", npy(np.array([Trap()] * N, object))),
    "another shape": ("ratings/items.npy", npy(np.zeros((N, 2), np.int32))),
    "another length": ("ratings/items.npy", npy(np.zeros(N - 1, np.int32))),
    "another type": ("ratings/users.npy", npy(np.zeros(N, np.int64))),
    "a code too many": ("ratings/items.npy", npy(np.full(N, 30, np.int32))),
    "a code below 0": ("ratings/users.npy", npy(np.full(N, -1, np.int32))),
    "NaN": ("ratings/values.npy", npy(np.full(N, np.nan, np.float32))),
    "times of another type": ("ratings/times.npy", npy(np.zeros(N, np.float32))),
    "ids that are no table": ("ratings/user_ids.parquet", b"PAR1"),
    "a scale that is none": ("ratings/scale.json", b"[1]"),
    "nothing": ("ratings/values.npy", b""),
    "a split's pickle": ("splits/train.npy", pickle.dumps(Trap())),
    "a split's objects": ("splits/test.npy", npy(np.array([Trap()], object))),
    "a split's shape": ("splits/validation.npy", npy(np.zeros((3, 3), np.int64))),
    "a split's order": ("splits/test.npy", npy(np.array([5, 4]))),
    "a split's row below 0": ("splits/test.npy", npy(np.array([-1, 4]))),
}
LOAD: dict[str, Callable[[Path], object]] = {"ratings": Ratings.load, "splits": Split.load}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ratings = Ratings.from_frame(synthesize(40, 30, N).frame, Scale(1, 5, 1))
    home = tmp_path_factory.mktemp("home")
    store = ArtifactStore(home)

    def saving(what: Any) -> Callable[[Path], dict[str, Any]]:
        return lambda folder: what.save(folder) or {}

    store.make(Kind.RATINGS, "films", "k", saving(ratings))
    store.make(Kind.SPLITS, "films", "k", saving(split(ratings, SplitConfig())))
    return home


def reopened(home: Path, kind: str) -> Artifact:
    return ArtifactStore(home).open(home / kind / "films-k")


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_is_refused_by_name(
    damage: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home, tmp_path / "home")
    (kind, _, name), content = DAMAGES[damage][0].partition("/"), DAMAGES[damage][1]
    folder = tmp_path / "home" / kind / "films-k"
    LOAD[kind](reopened(tmp_path / "home", kind).path)
    (folder / name).write_bytes(content)
    with pytest.raises(NothingToWorkFrom, match=name) as differs:
        reopened(tmp_path / "home", kind)
    # Somebody has made the manifest fit: the checksum says nothing now.
    with pytest.raises(SourceUnavailable, match=name) as refused:
        LOAD[kind](folder)
    assert all("\n" not in str(error.value) for error in (differs, refused))
    assert not (tmp_path / "trapped").exists()


def test_changed_bytes_are_noticed(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    for path in sorted((tmp_path / "home" / "ratings" / "films-k").iterdir()):
        if path.name == "manifest.json":
            continue
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(NothingToWorkFrom, match=path.name):
            reopened(tmp_path / "home", "ratings")
        path.write_bytes(whole)
    reopened(tmp_path / "home", "ratings")
    assert json.loads((home / "ratings" / "films-k" / "manifest.json").read_text())["files"]
