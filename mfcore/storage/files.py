"""Files and folders that appear whole or not at all, and locks that go with the process that holds them."""

import ctypes
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mfcore.errors import UsageError, first_line

__all__ = [
    "ABANDONED_AFTER_S",
    "TEMPORARY",
    "discard",
    "full_disk",
    "is_full",
    "locked",
    "new_folder",
    "scratch_folder",
    "sha256_of",
    "sync",
    "write_file",
]

logger = logging.getLogger(__name__)

ABANDONED_AFTER_S = 24 * 3600
"""Age of a temporary file or folder from which nobody works in it any more."""
TEMPORARY = ".mfcore.tmp"
"""How the names of temporary files and folders end; they begin with a dot."""
_HERE, _EXCHANGE = -100, 2
"""Linux's AT_FDCWD and RENAME_EXCHANGE."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: str | bytes, *, via: Path | None = None) -> None:
    """Write `content`, text as UTF-8, to `path` so that it appears whole or not at all.

    A process that is killed leaves a temporary file for the next one that writes there. It lies
    beside `path`, or in the folder `via` on the same disk, where `path.parent` is seldom written.
    """
    place = via or path.parent
    _sweep(place)
    while True:
        temporary = place / f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY}"
        try:
            with temporary.open("xb") as file:
                if not _hold(temporary, file.fileno()):
                    continue
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)
        return


def sync(path: Path) -> None:
    """Wait until what was written to a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` when the block ends without an error.

    Every file is flushed to disk first. When `target` exists by then, it is left as it is
    and the new folder is dropped, unless it is to `replace` it.

    Raises:
        UsageError: the folder above `target` can't be written.
    """
    with _temporary_folder(target.parent, f".{target.name}.") as temporary:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            if path.is_file():
                sync(path)
        temporary.chmod(0o755)
        if not (replace and target.exists() and _exchange(temporary, target)):
            try:
                temporary.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
        sync(target.parent)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is deleted when the block ends, in `parent` or among the machine's temporary files.

    Raises:
        UsageError: the place can't be written.
    """
    with _temporary_folder(parent or Path(tempfile.gettempdir()), ".scratch.") as folder:
        yield folder


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[IO[str]]:
    """Hold a lock of the name of `path`, waiting for the process that holds it.

    Yields the open file that the lock belongs to: a process that inherits it holds the lock too.

    Args:
        path: what the lock is for.
        shared: hold it together with others that share it.

    Raises:
        UsageError: the folder of `path` can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise _cannot_write(path.parent, error) from error
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with lock:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("waiting for another run to finish with %s", path.name)
            fcntl.flock(lock, kind)
        yield lock


@contextmanager
def full_disk() -> Iterator[None]:
    """Say in one line that a disk is full or can't be written, whichever library meets it.

    Raises:
        UsageError: it is.
    """
    try:
        yield
    except OSError as error:
        number = _number_of(error)
        if number is None:
            raise
        where = f" to {error.filename}" if error.filename else ""
        raise UsageError(
            f"cannot write{where}: {os.strerror(number)}. Free some space, or choose another place "
            "(MFCORE_HOME, MFCORE_EXPORTS, TMPDIR)."
        ) from error


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk of this machine is full or can't be written.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError("no answer"))
    (True, False)
    """
    return isinstance(error, OSError) and _number_of(error) is not None


def _number_of(error: OSError) -> int | None:
    # shutil's own error for a whole folder has no number, but lists those of its files.
    return next((number for number in _FULL if number == error.errno or f"[Errno {number}]" in str(error)), None)


def discard(path: Path) -> None:
    """Move a folder out of the way in one step, then delete it."""
    with _temporary_folder(path.parent, f".{path.name}.") as grave, suppress(FileNotFoundError):
        path.rename(grave / "old")  # another process may have been faster


def _exchange(new: Path, old: Path) -> bool:
    """Let two folders change places, so that at no time there is none; False where one of them is no more.

    Python has no such call. Where the system has none either, the old folder goes first.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None and renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
        return True
    discard(old)
    return False


@contextmanager
def _temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder, and delete it, if it is still there, when the block ends.

    Those like it that killed processes left are deleted first: a folder is locked by whoever works in
    it, and a lock goes with the process.

    Raises:
        UsageError: `parent` can't be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        while True:
            folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=TEMPORARY, dir=parent))
            with suppress(FileNotFoundError):
                descriptor = os.open(folder, os.O_RDONLY)
                if _hold(folder, descriptor):
                    break
                os.close(descriptor)
    except OSError as error:
        raise _cannot_write(parent, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _hold(path: Path, descriptor: int) -> bool:
    """Lock what was just made; False where it was taken for abandoned before that, and is gone."""
    with suppress(OSError):  # some network file systems lock no folders: there age alone tells
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    return path.exists()


def _sweep(folder: Path) -> None:
    """Delete what killed processes left in a folder."""
    for path in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):  # it is gone meanwhile, or somebody else's
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if _is_abandoned(descriptor):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:  # no locks there
        return time.time() - os.fstat(descriptor).st_mtime > ABANDONED_AFTER_S


def _cannot_write(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write to {folder}: {first_line(error)}. "
        "Choose another place (MFCORE_HOME, MFCORE_EXPORTS) or mend its permissions."
    )
