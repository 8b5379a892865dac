"""Files and folders that appear whole or not at all, and locks that go with the process that holds them."""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from mfcore.errors import UsageError, first_line

__all__ = [
    "ABANDONED_AFTER_S",
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
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, text: str) -> None:
    """Write `text` to `path` so that it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target.parent, error) from error
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            if path.is_file():
                sync(path)
        temporary.chmod(0o755)
        if replace and target.exists():
            discard(target)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder that is deleted when the block ends; what a killed process left, after a day.

    Raises:
        UsageError: `parent` can't be written.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=".scratch.", suffix=".tmp", dir=parent))
    except OSError as error:
        raise _cannot_write(parent, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    return next((one for one in _FULL if one == error.errno or f"[Errno {one}]" in str(error)), None)


def discard(path: Path) -> None:
    """Move a folder out of the way in one step, then delete it."""
    grave = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    with suppress(FileNotFoundError):  # another process may have been faster
        path.rename(grave / "damaged")
    shutil.rmtree(grave, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Delete what killed processes left behind: temporary folders more than a day old."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(path, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot write to {folder}: {first_line(error)}. "
        "Choose another place (MFCORE_HOME, MFCORE_EXPORTS) or mend its permissions."
    )
