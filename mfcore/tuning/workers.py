"""`Workers`: processes that train the trials of a search, several at a time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, cast

from mfcore.machine import n_cores
from mfcore.models import Recipe
from mfcore.tuning.search import Attempt, Search

__all__ = ["Worker", "WorkerKilled", "Workers", "n_threads"]

_POLL_S = 0.5
"""Seconds after which we look what the user, or other machines, have done."""

_THREAD_POOLS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerKilled(Exception):
    """A worker was killed by a signal."""


class Worker:
    """A process that runs `mfcore.tuning.worker`."""

    def __init__(self, folder: Path, n_threads: int, lock: IO[Any] | None) -> None:
        """Start it over the folds in `folder`; it keeps `lock` for as long as it lives."""
        environment = {**os.environ, **dict.fromkeys(_THREAD_POOLS, str(n_threads))}
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._log = (folder / "workers.log").open("ab")
        self._process = subprocess.Popen(
            # Without the working directory on the path, where a file may be named like a module.
            [sys.executable, "-P", "-m", "mfcore.tuning.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            pass_fds=() if lock is None else (lock.fileno(),),
            process_group=0,  # Ctrl-C is for the process that started it
        )

    def fileno(self) -> int:
        """What becomes readable when it has something to say."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def train(self, recipe: Recipe) -> None:
        """Have it train a recipe."""
        self._say(recipe.model_dump_json())

    def go_on(self, another_epoch: bool) -> None:
        """Answer it."""
        self._say(json.dumps(another_epoch))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # that it died is noticed when it is read
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def read(self) -> dict[str, Any]:
        """What it says next.

        Raises:
            WorkerKilled: it was killed.
            RuntimeError: it ended in an error, which is a defect.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.endswith(b"\n"):
            said: dict[str, Any] = json.loads(line)
            return said
        code = self._process.wait()
        if code < 0:
            raise WorkerKilled(f"signal {-code}")
        log = Path(self._log.name).read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"a worker ended with {code}:\n{log[-4000:]}")

    def end(self) -> None:
        """Kill it; it holds nothing that would be lost."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()


class Workers:
    """The workers of a search on this machine; they end with the block, wherever their trials are."""

    def __init__(self, search: Search, n_workers: int, start: Callable[[], Worker]) -> None:
        """Start `n_workers` of those that `start` starts."""
        self._search, self._start = search, start
        self._idle = [start() for _ in range(n_workers)]
        self._busy: dict[Worker, Attempt] = {}
        self._next_look = 0.0

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in (*self._idle, *self._busy):
            worker.end()
        for attempt in self._busy.values():
            self._search.drop(attempt)

    def run(self) -> None:
        """Have trials trained until the search is over."""
        while not self._search.is_stopped():
            self._hand_out()
            if not self._busy and self._search.is_over():
                return
            if self._busy:
                pipes = {worker.fileno(): worker for worker in self._busy}
                for pipe in wait(list(pipes), _POLL_S):
                    self._listen(pipes[cast(int, pipe)])
            else:  # others have the trials that are left
                time.sleep(_POLL_S)
            self._search.beat()

    def _hand_out(self) -> None:
        """Give those who are idle something to do, if there is something they need not wait for."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _POLL_S
        while self._idle and not self._search.is_over() and (attempt := self._search.next()) is not None:
            worker = self._idle.pop()
            self._busy[worker] = attempt
            worker.train(attempt.recipe)

    def _listen(self, worker: Worker) -> None:
        """Hear how an epoch went, and say whether there is to be another one."""
        attempt = self._busy[worker]
        try:
            said = worker.read()
        except WorkerKilled as killed:
            del self._busy[worker]
            worker.end()
            self._search.lose(attempt, str(killed))
            worker = self._start()
        else:
            if "diverged" in said:
                del self._busy[worker]
                self._search.finish(attempt, "diverged")
            else:
                another_epoch = attempt.report(said["value"], said["spread"])
                worker.go_on(another_epoch)
                if another_epoch:
                    return
                del self._busy[worker]
                self._search.finish(attempt)
        self._idle.append(worker)
        self._next_look = 0.0


def n_threads() -> int:
    """Threads for all workers together: one per core, fewer if Numba was told so."""
    return min(n_cores(), int(os.environ.get("NUMBA_NUM_THREADS") or n_cores()))
