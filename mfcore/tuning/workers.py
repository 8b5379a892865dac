"""`Workers`: processes that train the trials of a search, several at a time."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.storage.files import scratch_folder
from mfcore.tuning.folds import Fold, share
from mfcore.workers import Worker, WorkerKilled, WorkerPool

if TYPE_CHECKING:
    from mfcore.tuning.search import Attempt, Search

__all__ = ["Workers", "training_pool"]

_POLL_S = 0.5
"""Seconds after which we look what the user, or other machines, have done."""


@contextmanager
def training_pool(folds: Mapping[Objective, list[Fold]], home: Path, n_threads: int) -> Iterator[WorkerPool]:
    """Workers that train on an objective's folds and share their arrays, by way of a folder in `home`."""
    with scratch_folder(home) as folder:
        for objective, own in folds.items():
            share(own, folder / objective)
        with WorkerPool("mfcore.tuning.worker", folder, n_threads) as pool:
            yield pool


class Workers:
    """The workers of a search on this machine; those that are idle go back when the block ends."""

    def __init__(self, search: "Search", yardstick: Yardstick, n_workers: int, pool: WorkerPool) -> None:
        """Take `n_workers` of a pool."""
        self._search, self._pool = search, pool
        self._measure = yardstick.model_dump(mode="json")
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
            worker.say({"recipe": attempt.recipe.model_dump(mode="json"), "yardstick": self._measure})

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
                worker.say(another_epoch)
                if another_epoch:
                    return
                del self._busy[worker]
                self._search.finish(attempt)
        self._idle.append(worker)
        self._next_look = 0.0
