import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfcore.errors import UsageError
from mfcore.storage.files import TEMPORARY, full_disk, locked, new_folder, scratch_folder, write_file


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to .*MFCORE_HOME"), new_folder(tmp_path / "file" / "x" / "y"):
        pytest.fail("got a folder")


def test_new_folder_replaces_only_when_told(tmp_path: Path) -> None:
    for text, replace, expected in (("1", False, "1"), ("2", False, "1"), ("3", True, "3")):
        with new_folder(tmp_path / "x", replace=replace) as folder:
            (folder / "a").write_text(text)
        assert (tmp_path / "x" / "a").read_text() == expected


def test_write_file_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_file(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_file(target, "\udcff")
    assert target.read_text() == "old"


HOLDER = """
import sys, time
from pathlib import Path
from mfcore.storage.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_waited_for_and_goes_with_a_killed_process(tmp_path: Path) -> None:
    with hold(tmp_path / "x", 1.0) as process:
        started = time.monotonic()
        with locked(tmp_path / "x"):
            assert time.monotonic() - started > 0.5
        process.wait()
    with hold(tmp_path / "x", 60) as process:
        process.kill()
        process.wait()
        with locked(tmp_path / "x"):
            pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "/x/ratings.parquet"),
        OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left on device"),
        shutil.Error([("/a", "/x/a", "[Errno 28] No space left on device: '/x/a'")]),
    ],
)
def test_a_full_disk_is_one_line_whoever_meets_it(error: OSError) -> None:
    with pytest.raises(UsageError, match=r"^cannot write.*: No space left on device. Free some space"), full_disk():
        raise error


def test_other_errors_of_files_stay_what_they_are() -> None:
    with pytest.raises(FileNotFoundError), full_disk():
        raise FileNotFoundError(2, "No such file or directory", "28")


SCRATCH = """
import sys, time
from pathlib import Path
from mfcore.storage.files import scratch_folder
with scratch_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRATCH, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as at_work,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed,
    ):
        try:
            for process in (at_work, killed):
                assert process.stdout is not None and process.stdout.readline() == "held\n"
            killed.kill()
            killed.wait()
            (tmp_path / f".half.json{TEMPORARY}").write_text("{")
            (tmp_path / ".somebodys.tmp").write_text("")
            assert len(list(tmp_path.glob(f".*{TEMPORARY}"))) == 3
            with new_folder(tmp_path / "x"):
                pass
            (left,) = tmp_path.glob(f".*{TEMPORARY}")
            with scratch_folder(tmp_path):
                pass
            assert left.is_dir()
        finally:
            at_work.kill()
    write_file(tmp_path / "a.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".somebodys.tmp", "a.json", "x"]


KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
from mfcore.serving.export import point_latest
from mfcore.storage.artifacts import ArtifactStore, damage, write_manifest
from mfcore.storage.files import locked, new_folder
from mfcore.storage.kinds import Kind

home, draw = Path(sys.argv[1]), random.Random(0)
store = ArtifactStore(home)

def fill(folder):
    for name in "abc":
        (folder / name).write_bytes(os.urandom(20_000))
    return {}

def work(rounds):
    for number in range(rounds):
        store.make(Kind.RAW, "shop", str(number % 3), fill)
        target = home / "exports" / str(number % 2)
        with new_folder(target, replace=True) as folder:
            fill(folder)
            write_manifest(folder)
        with locked(target.parent / "latest"):
            point_latest(target)

wrong = []
work(2)
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        work(1000)
        os._exit(1)
    time.sleep(draw.uniform(0.002, 0.06))
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    for path in [*(home / "raw").glob("[!.]*"), *(home / "exports").glob("[0-9]*")]:
        if problem := damage(path):
            wrong.append(problem)
    latest = home / "exports" / "latest"
    if not latest.is_dir():
        wrong.append("latest points to nothing")
store.make(Kind.RAW, "shop", "last", fill)
with new_folder(home / "exports" / "2") as folder:
    pass
print(json.dumps([wrong, [str(path) for path in home.rglob("*.mfcore.tmp")]]))
"""


def test_whatever_the_moment_of_a_kill_what_is_there_is_whole(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), "30"], capture_output=True, text=True, check=True
    )
    wrong, left = json.loads(done.stdout)
    assert wrong == []
    assert left == []
