"""`Workers`: processes that train the trials of searches, several at a time."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, cast

from mfcore.machine import n_cores
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.storage.files import scratch_folder
from mfcore.tuning.folds import Fold, share
from mfcore.tuning.search import Attempt, Search

__all__ = ["Worker", "WorkerKilled", "WorkerPool", "Workers", "n_threads"]

_POLL_S = 0.5
"""Seconds after which we look what the user, or other machines, have done."""

_THREAD_POOLS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerKilled(Exception):
    """A worker was killed by a signal."""


class Worker:
    """A process that runs `mfcore.tuning.worker`."""

    def __init__(self, folder: Path, n_threads: int) -> None:
        """Start it over the folds in `folder`."""
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
            process_group=0,  # Ctrl-C is for the process that started it
        )

    def fileno(self) -> int:
        """What becomes readable when it has something to say."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def train(self, recipe: Recipe, yardstick: Yardstick) -> None:
        """Have it train a recipe, measured by this yardstick."""
        self._say({"recipe": recipe.model_dump(mode="json"), "yardstick": yardstick.model_dump(mode="json")})

    def go_on(self, another_epoch: bool) -> None:
        """Answer it."""
        self._say(another_epoch)

    def _say(self, document: object) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # that it died is noticed when it is read
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
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


class WorkerPool:
    """Workers over the same folds, which searches take and give back, also from different threads.

    Use it as a context manager: where the block ends, so do they all.
    """

    def __init__(self, folds: list[Fold], home: Path, n_threads: int) -> None:
        """Prepare; workers are started when they are needed.

        Args:
            folds: what they train on and are measured on.
            home: folder for the arrays they share.
            n_threads: of each worker.
        """
        self._folds, self._n_threads = folds, n_threads
        self._scratch = scratch_folder(home)
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "WorkerPool":
        self._folder = self._scratch.__enter__()
        share(self._folds, self._folder)
        return self

    def __exit__(self, *exception: Any) -> None:
        with self._lock:
            self._closed = True
            for worker in self._all:
                worker.end()
        self._scratch.__exit__(*exception)

    def take(self) -> Worker:
        """One that has nothing to do.

        Raises:
            WorkerKilled: the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise WorkerKilled("nothing is trained any more")
            if not self._idle:
                self._all.append(Worker(self._folder, self._n_threads))
                return self._all[-1]
            return self._idle.pop()

    def give(self, worker: Worker) -> None:
        """Give back one that has nothing to do."""
        with self._lock:
            self._idle.append(worker)


class Workers:
    """The workers of a search on this machine; those that are idle go back when the block ends."""

    def __init__(self, search: Search, yardstick: Yardstick, n_workers: int, pool: WorkerPool) -> None:
        """Take `n_workers` of a pool."""
        self._search, self._yardstick, self._pool = search, yardstick, pool
        self._idle = [pool.take() for _ in range(n_workers)]
        self._busy: dict[Worker, Attempt] = {}
        self._next_look = 0.0

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self._idle:
            self._pool.give(worker)
        for worker, attempt in self._busy.items():
            worker.end()
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
            worker.train(attempt.recipe, self._yardstick)

    def _listen(self, worker: Worker) -> None:
        """Hear how an epoch went, and say whether there is to be another one."""
        attempt = self._busy[worker]
        try:
            said = worker.read()
        except WorkerKilled as killed:
            another = self._pool.take()
            del self._busy[worker]
            worker.end()
            self._search.lose(attempt, str(killed))
            worker = another
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
