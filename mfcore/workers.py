"""`WorkerPool`: processes that do what they are told, several at a time, and end with whoever started them."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["Worker", "WorkerKilled", "WorkerPool", "conversation"]

_THREAD_POOLS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def conversation() -> Iterator[Callable[[object], None]]:
    """What a worker's program says things with; what libraries print must not get in between."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)

        def say(document: object) -> None:
            out.write(json.dumps(document) + "\n")
            out.flush()

        yield say


class WorkerKilled(Exception):
    """A worker was killed by a signal."""


class Worker:
    """A process that runs a module, `python -m MODULE FOLDER`, and talks in lines of JSON.

    It has to end where its stdin does, so that it does not outlive this process.
    """

    def __init__(self, module: str, folder: Path, n_threads: int) -> None:
        """Start it, with so many threads for kernels and for BLAS."""
        environment = {**os.environ, **dict.fromkeys(_THREAD_POOLS, str(n_threads))}
        root = str(Path(__file__).parents[1])
        environment["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._log = (folder / "workers.log").open("ab")
        self._process = subprocess.Popen(
            # Without the working directory on the path, where a file may be named like a module.
            [sys.executable, "-P", "-m", module, str(folder)],
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

    def say(self, document: object) -> None:
        """Tell it something."""
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
    """Workers of one module, which are taken and given back, also from different threads.

    Use it as a context manager: where the block ends, so do they all.
    """

    def __init__(self, module: str, folder: Path, n_threads: int) -> None:
        """Prepare; workers are started when they are needed, as in `Worker`."""
        self._module, self._folder, self._n_threads = module, folder, n_threads
        self._all: list[Worker] = []
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._closed = True
            for worker in self._all:
                worker.end()

    def take(self) -> Worker:
        """One that has nothing to do.

        Raises:
            WorkerKilled: the pool is closed.
        """
        with self._lock:
            if self._closed:
                raise WorkerKilled("nothing is trained any more")
            if not self._idle:
                self._all.append(Worker(self._module, self._folder, self._n_threads))
                return self._all[-1]
            return self._idle.pop()

    def give(self, worker: Worker) -> None:
        """Give back one that has nothing to do."""
        with self._lock:
            self._idle.append(worker)
