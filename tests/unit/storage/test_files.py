import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfcore.errors import UsageError
from mfcore.storage.files import full_disk, locked, new_folder, write_file


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
