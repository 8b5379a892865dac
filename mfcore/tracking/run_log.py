"""`RunLog`: runs that are over when they are logged, such as trials, sent by a thread of their own."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

__all__ = ["FinishedRun", "RunLog"]


@dataclass(frozen=True)
class FinishedRun:
    """All that is known of a run.

    Attributes:
        experiment_id: the experiment it belongs to.
        name: what it is listed as.
        tags: those of MLflow among them.
        params: shown beside each other when runs are compared.
        metrics: single values have step 0; of a curve, the point of the last step is the value shown.
        started: milliseconds since 1970.
        ended: milliseconds since 1970.
    """

    experiment_id: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[Metric]
    started: int
    ended: int

    def log(self, client: MlflowClient) -> str:
        """Log it and return its id. It is FINISHED last of all: whoever reads counts no other one."""
        run_id: str = client.create_run(
            self.experiment_id, start_time=self.started, tags=dict(self.tags), run_name=self.name
        ).info.run_id
        client.log_batch(run_id, self.metrics, [Param(key, value) for key, value in self.params.items()])
        client.set_terminated(run_id, end_time=self.ended)
        return run_id


class RunLog:
    """Sends runs to MLflow, one after the other, while its callers, threads of one process, go on.

    Three calls for a run take about 20 ms on a local database, a fifth of the time that a trial of
    ALS takes on 100,000 ratings. What could not be sent is the caller's error: the next `add`
    or `flush` raises it. A process that ends in good order sends first what waits.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mlflow")
        self._pending: list[Future[str]] = []
        self._lock = threading.Lock()

    def add(self, run: FinishedRun) -> None:
        """Have a run logged.

        Raises:
            MfcoreError: an earlier one could not be logged.
        """
        with self._lock:
            if any(sent.done() and sent.exception() is not None for sent in self._pending):
                self._flush()
            self._pending = [sent for sent in self._pending if not sent.done()]
            self._pending.append(self._thread.submit(run.log, self._client))

    def flush(self) -> None:
        """Wait until all runs are logged.

        Raises:
            MfcoreError: one of them could not be; those after it are not tried.
        """
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        try:
            for sent in self._pending:
                sent.result()
        except Exception:
            for sent in self._pending:
                sent.cancel()
            self._pending = []
            raise
        self._pending = []
