"""What goes by age and count, and what stays whatever its age."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfcore.storage.artifacts import Artifact, ArtifactStore
from mfcore.storage.kinds import Kind
from mfcore.storage.retention import (
    Leftover,
    Rule,
    abandoned,
    old_artifacts,
    old_exports,
    old_journals,
    old_replays,
    remove,
)

NIGHT_S = 24 * 3600
AGES = st.lists(st.integers(0, 60), max_size=30)


def things(ages: list[int]) -> list[Leftover]:
    return [Leftover(what="export", dataset="shop", name=str(n), used_at=-age) for n, age in enumerate(ages)]


@given(AGES, st.integers(0, 60), st.integers(1, 5))
def test_the_newest_and_the_young_stay(ages: list[int], days: int, keep: int) -> None:
    some = things(ages)
    gone = {one.name for one in Rule(-days, keep).expired(some)}
    stay = [one for one in some if one.name not in gone]
    assert len(stay) >= min(keep, len(some))
    assert all(one.used_at < -days for one in some if one.name in gone)
    assert all(one.used_at <= min(s.used_at for s in stay) for one in some if one.name in gone)


@given(AGES, st.integers(0, 60), st.integers(0, 60), st.integers(1, 5), st.integers(0, 5))
def test_a_longer_time_and_a_larger_count_remove_no_more(
    ages: list[int], days: int, longer: int, keep: int, more: int
) -> None:
    some = things(ages)
    loose, strict = Rule(-days - longer, keep + more).expired(some), Rule(-days, keep).expired(some)
    assert {one.name for one in loose} <= {one.name for one in strict}


def store_of(home: Path, made: list[tuple[int, int, int]]) -> ArtifactStore:
    """A store in which each entry made the next kind from an artifact of the kind before."""
    store = ArtifactStore(home)
    there: dict[int, list[Artifact]] = {number: [] for number in range(len(Kind))}
    for number, (level, which, dataset) in enumerate(made):
        before = there[level - 1] if level else []
        if level and not before:
            continue
        source = [before[which % len(before)]] if level else []
        name = source[0].dataset if source else f"shop{dataset}"
        there[level].append(store.make(list(Kind)[level], name, f"{number:016x}", lambda folder: {}, source))
    return store


@settings(max_examples=40)
@given(
    made=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 1)), max_size=14),
    keep=st.integers(1, 3),
    needed=st.sets(st.integers(0, 13)),
)
def test_what_stays_has_what_it_was_made_from(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int, int]], keep: int, needed: set[int]
) -> None:
    home = tmp_path_factory.mktemp("home")
    store = store_of(home, made)
    wanted = {f"{number:016x}" for number in needed}
    there = [(kind, path) for kind in Kind for path, _ in store.manifests(kind)]
    for one in old_artifacts(store, Rule(time.time() + 60, keep), wanted):
        remove(one)
        # At no time, as when the process is killed, is anything there without what it was made from.
        for kind in Kind:
            for path, manifest in store.manifests(kind):
                assert all((home / parent / name).is_dir() for parent, name in manifest["inputs"].items()), path
    left = [(kind, path) for kind, path in there if path.exists()]
    for kind in Kind:
        for dataset in ("shop0", "shop1"):
            before = [path for one, path in there if one is kind and path.name.startswith(dataset)]
            after = [path for one, path in left if one is kind and path.name.startswith(dataset)]
            assert len(after) >= min(keep, len(before))
            if before:
                assert store.newest(kind, dataset).path in after
    assert not [path for _, path in there if path.name[-16:] in wanted and not path.exists()]
    assert len(list((home / "locks").glob(".*.lock"))) == len(left) if there else True


def test_used_counts_as_new(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for number in range(3):
        store.make(Kind.RAW, "shop", str(number), lambda folder: {})
    between = time.time()
    assert store.find(Kind.RAW, "shop", "0") is not None
    assert [one.name for one in old_artifacts(store, Rule(between, 1), ())] == ["raw/shop-2", "raw/shop-1"]


def test_latest_and_what_is_needed_stay(tmp_path: Path) -> None:
    for version in range(1, 7):
        folder = tmp_path / "shop" / str(version)
        folder.mkdir(parents=True)
        (folder / "lists.parquet").write_bytes(b"x" * 100)
        os.utime(folder, (version, version))
    (tmp_path / "shop" / "latest").symlink_to("2", target_is_directory=True)
    gone = old_exports(tmp_path, Rule(time.time(), 2), lambda dataset: {3} if dataset == "shop" else set())
    assert [(one.name, one.n_bytes) for one in gone] == [("4", 100), ("1", 100)]
    for one in gone:
        remove(one)
    assert sorted(path.name for path in (tmp_path / "shop").iterdir()) == ["2", "3", "5", "6", "latest"]


def test_journals_go_with_their_locks_and_per_study(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "journals"
    folder.mkdir(parents=True)
    for study in ("shop-rating-als", "shop-rating-sgd"):
        for number in range(3):
            stem = f"{study}-{number:04x}"
            for name in (f"{stem}.log", f".{stem}.log.lock", f".{stem}.trials.lock"):
                (folder / name).write_text("")
                os.utime(folder / name, (number, number))
    for one in old_journals(tmp_path, Rule(time.time(), 2)):
        remove(one)
    left = sorted(path.name.strip(".").partition(".")[0] for path in folder.iterdir())
    assert left == sorted(3 * [f"shop-rating-{name}-{number:04x}" for name in ("als", "sgd") for number in (1, 2)])


def test_replays_go_by_when_their_last_night_was_replayed(tmp_path: Path) -> None:
    for number, name in enumerate(("shop-a", "shop-b", "jokes-c", "jokes-d")):
        folder = tmp_path / "replays" / name
        folder.mkdir(parents=True)
        (folder / "mlflow.db").write_bytes(b"x" * 1000)
        nights = folder / "nights.json"
        nights.write_text("[]")
        os.utime(nights, (number, number))
    young = tmp_path / "replays" / "shop-b" / "nights.json"
    os.utime(young, (time.time(), time.time()))  # a longer replay went on in it
    (tmp_path / "replays" / "killed").mkdir()  # before its first night was over
    os.utime(tmp_path / "replays" / "killed", (9, 9))
    (tmp_path / "replays" / ".replay.lock").write_text("")
    gone = old_replays(tmp_path, Rule(time.time() - 60, 2))
    assert {one.name: one.n_bytes for one in gone} == {"shop-a": 1002, "jokes-c": 1002, "jokes-d": 1002}
    for one in gone:
        remove(one)
    assert sorted(path.name for path in (tmp_path / "replays").iterdir()) == [".replay.lock", "killed", "shop-b"]


def test_what_a_killed_run_left_goes_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    home, exports = tmp_path / "home", tmp_path / "exports"
    old = [home / "raw" / ".shop-1.x.tmp", exports / "shop" / ".3.y.tmp", tmp_path / "tmp" / ".z.mfcore.tmp"]
    others = [home / "raw" / ".shop-2.x.tmp", tmp_path / "tmp" / ".somebodys.tmp", home / "raw" / "shop-1"]
    for folder in [*old, *others]:
        folder.mkdir(parents=True)
        (folder / "file").write_text("half")
    then = time.time() - NIGHT_S - 60
    for folder in [*old, *others[1:]]:
        for path in (folder / "file", folder):
            os.utime(path, (then, then))
    (old[0] / "young").write_text("")
    assert {one.path for one in abandoned(home, exports)} == set(old[1:])
    for path in (old[0] / "young", old[0]):
        os.utime(path, (then, then))
    for one in abandoned(home, exports):
        remove(one)
    assert not any(folder.exists() for folder in old)
    assert all(folder.exists() for folder in others)
