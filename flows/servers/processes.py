"""Processes that outlive the command that started them."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from mfcore.errors import SourceUnavailable
from mfcore.health import silence_of

__all__ = ["Process", "spawn", "wait_for", "wait_until"]

_START_S, _STOP_S = 180, 30
_LOG_BYTES = 10_000_000


class Process(BaseModel):
    """A process, by number and start time: another one that gets the number later is not taken for it.

    Attributes:
        name: what it is.
        pid: its number.
        began: when it began, in seconds since 1970.
        log: the file that its output goes to.
        url: where it answers once it is up, if anywhere.
        stop_signal: what ends it in good order.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    pid: int
    began: float
    log: Path
    url: str | None = None
    stop_signal: int = signal.SIGTERM

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._running() is not None

    def stop(self) -> bool:
        """End it and all it has started, also where it was killed and that was not; say whether it ran."""
        process = self._running()
        if process is None:
            self._end_orphans()
            return False
        family = [*process.children(recursive=True), process]
        with suppress(psutil.NoSuchProcess):
            process.send_signal(self.stop_signal)
        psutil.wait_procs([process], timeout=_STOP_S)
        _, left = psutil.wait_procs(family, timeout=2)
        for survivor in left:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        psutil.wait_procs(left, timeout=_STOP_S)
        return True

    def _end_orphans(self) -> None:
        """Kill what it had started and was not ended with it: such a child may hold the port.

        They are in the session that it led, whose number no new process gets while they live.
        """
        with suppress(psutil.NoSuchProcess):
            if not self._is(psutil.Process(self.pid)):
                return  # another one has the number, and leads a session of its own
        orphans = [one for one in psutil.process_iter() if one.pid != self.pid and _session(one.pid) == self.pid]
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()
        psutil.wait_procs(orphans, timeout=_STOP_S)

    def _running(self) -> "psutil.Process | None":
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            if self._is(process) and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def _is(self, process: psutil.Process) -> bool:
        """Whether it is this one, and no other of the same number."""
        # The clock that start times are read off moves by hundredths when the system's is set right.
        apart: float = abs(process.create_time() - self.began)
        return apart < 1


def _session(pid: int) -> int | None:
    """The number of a process's session; None of one that is gone."""
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(pid)
    return None


def spawn(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, url: str | None) -> Process:
    """Start a process in a session of its own, with its output added to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".old"))
    with log.open("ab") as output:
        started = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # Nobody waits for it here: it is to outlive this process.
    started.returncode = 0
    return Process(name=name, pid=started.pid, began=psutil.Process(started.pid).create_time(), log=log, url=url)


def wait_for(process: Process) -> None:
    """Wait until a process answers.

    Raises:
        SourceUnavailable: it ended, or did not answer for three minutes.
    """
    url = process.url
    if url is None:
        return

    def is_up() -> bool:
        if not process.is_alive:
            raise SourceUnavailable(f"{process.name} ended before it answered at {url}: see {process.log}")
        return silence_of(url) is None

    wait_until(is_up, f"{process.name} did not answer at {url} within {_START_S} s: see {process.log}")


def wait_until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Wait until something is so.

    Raises:
        SourceUnavailable: it was not for three minutes; `otherwise` is the message.
    """
    deadline = time.monotonic() + _START_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SourceUnavailable(otherwise)
        time.sleep(0.2)
