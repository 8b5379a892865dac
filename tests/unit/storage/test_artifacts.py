import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mfcore.errors import NothingToWorkFrom
from mfcore.storage.artifacts import ArtifactStore, fingerprint, is_whole


def write_text(folder: Path) -> dict[str, int]:
    (folder / "a.txt").write_text("ratings")
    return {"rows": 1}


def test_equal_inputs_are_made_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    made = store.make("raw", "toy", fingerprint("x"), write_text)
    again = store.make("raw", "toy", fingerprint("x"), lambda folder: pytest.fail("was made twice"))
    assert (made.reused, again.reused) == (False, True)
    assert made.path == again.path
    assert again.details == {"rows": 1}


@pytest.mark.parametrize("damage", ["truncate", "delete", "manifest"])
def test_damage_is_noticed_and_mended(tmp_path: Path, damage: str) -> None:
    store = ArtifactStore(tmp_path)
    made = store.make("raw", "toy", "k", write_text)
    if damage == "truncate":
        (made.path / "a.txt").write_text("rating")
    elif damage == "delete":
        (made.path / "a.txt").unlink()
    else:
        (made.path / "manifest.json").write_text("{")
    with pytest.raises(NothingToWorkFrom, match="damaged"):
        store.open(made.path)
    again = store.make("raw", "toy", "k", write_text)
    assert not again.reused
    assert (again.path / "a.txt").read_text() == "ratings"
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["toy-k"]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, int]:
        (folder / "a.txt").write_text("half")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        ArtifactStore(tmp_path).make("raw", "toy", "k", fail)
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_killed_process_leaves_no_artifact_and_is_swept_up_later(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from mfcore.storage.files import new_folder
with new_folder(Path({str(tmp_path)!r}) / "raw" / "toy-k") as folder:
    (folder / "a.txt").write_text("half")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    (left,) = (tmp_path / "raw").iterdir()
    assert left.name.startswith(".toy-k")
    with pytest.raises(NothingToWorkFrom):
        ArtifactStore(tmp_path).newest("raw")
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (two_days_ago, two_days_ago))
    ArtifactStore(tmp_path).make("raw", "toy", "k", write_text)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["toy-k"]


MAKER = """
import os, sys, time
from pathlib import Path
from mfcore.storage.artifacts import ArtifactStore
home = Path(sys.argv[1])
def write(folder):
    (home / "began").touch()
    while not (home / "go").exists():
        time.sleep(0.01)
    if sys.argv[2] == "killed":
        os._exit(9)
    return {"by": "other"}
ArtifactStore(home).make("raw", "toy", "k", write)
"""


@pytest.mark.parametrize(("fate", "made_by"), [("finishes", "other"), ("killed", "this")])
def test_of_two_at_once_one_works_and_the_other_waits(tmp_path: Path, fate: str, made_by: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path), fate])
    while not (tmp_path / "began").exists():
        assert other.poll() is None
        time.sleep(0.01)
    calls: list[Path] = []

    def write(folder: Path) -> dict[str, str]:
        calls.append(folder)
        return {"by": "this"}

    with ThreadPoolExecutor() as pool:
        made = pool.submit(ArtifactStore(tmp_path).make, "raw", "toy", "k", write)
        time.sleep(0.3)
        assert not made.done()
        assert not calls
        (tmp_path / "go").touch()
        assert made.result(timeout=60).details == {"by": made_by}
    assert len(calls) == (made_by == "this")
    other.wait(timeout=60)


def test_newest_is_of_the_data_set(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    store.make("raw", "toy", "1", write_text)
    last = store.make("raw", "toy", "2", write_text)
    other = store.make("raw", "other", "3", write_text)
    assert store.newest("raw", "toy").path == last.path
    assert store.newest("raw").path == other.path
    with pytest.raises(NothingToWorkFrom, match="no splits of toy"):
        store.newest("splits", "toy")


def test_newest_is_what_was_asked_for_last(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    first = store.make("raw", "toy", "1", write_text)
    store.make("raw", "toy", "2", write_text)
    assert store.make("raw", "toy", "1", write_text).reused
    assert store.newest("raw", "toy").path == first.path
    assert is_whole(first.path)


def test_artifacts_are_told_apart_by_their_details(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    part = store.make("studies", "toy", "1", lambda folder: {"search": "x", "als": {"rmse": 1.0}})
    store.make("studies", "toy", "2", lambda folder: {"als": {"rmse": 0.9}})
    assert store.newest("studies", "toy", search="x").path == part.path
    assert not store.has("studies", "toy", search="y")


def test_inputs_are_found_however_far_back(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    raw = store.make("raw", "toy", "1", write_text)
    ratings = store.make("ratings", "toy", "2", write_text, [raw])
    splits = store.make("splits", "toy", "3", write_text, [ratings])
    assert store.input(splits, "raw").path == raw.path
    with pytest.raises(NothingToWorkFrom, match="not made from studies"):
        store.input(splits, "studies")


def test_who_removes_waits_for_all_who_work(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    is_alone = threading.Event()

    def removing() -> None:
        with store.in_use(alone=True):
            is_alone.set()

    other = threading.Thread(target=removing)
    with store.in_use():
        with store.in_use():  # two runs at once
            other.start()
        assert not is_alone.wait(0.2)
    other.join(10)
    assert is_alone.is_set()
