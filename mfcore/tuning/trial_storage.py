"""`TrialStorage`: the trials of a study as Optuna keeps them, in a journal on this machine or in PostgreSQL.

A trial of ours has a number, and may need several of Optuna's trials to be finished: one that
was killed is marked as failed, and whoever is next runs the same number again.
"""

import hashlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, fail_stale_trials
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from mfcore.storage.databases import database_errors, patience
from mfcore.storage.files import locked
from mfcore.storage.urls import with_secrets
from mfcore.tuning.space import Direction
from mfcore.tuning.trials import Params, Trial

__all__ = ["TrialStorage", "open_trial_storage"]

_BEAT_S = 10
_STALE_S = 60
"""Seconds without a sign of life after which a trial of another machine is run again."""


class TrialStorage:
    """The trials of one study.

    Attributes:
        champion: hyper-parameters of the champion of the day on which the study began; it keeps to them.
        is_private: whether nobody else may have trials of the study under way.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        direction: Direction,
        champion: Params | None,
        claiming: Callable[[], AbstractContextManager[object]],
        is_private: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.claiming, self.is_private = claiming, is_private
        self._storage = storage
        with claiming():
            self._study = optuna.create_study(
                storage=storage, study_name=name, direction=direction, load_if_exists=True
            )
            if "champion" not in self._study.user_attrs:
                self._study.set_user_attr("champion", champion)
        self._study_id = storage.get_study_id_from_name(name)
        self.champion: Params | None = self._study.user_attrs["champion"]
        self._claimed: dict[int, int] = {}
        self._read: dict[int, Trial] = {}
        self._beaten = time.monotonic()
        if is_private:
            self._fail_abandoned()

    def read(self) -> tuple[dict[int, Trial], dict[int, Params]]:
        """The finished trials, and the hyper-parameters of those under way, by number."""
        if not self.is_private:
            self._fail_stale()
        running = {}
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.number not in self._read:
                self._read[trial.number] = Trial.model_validate(trial.user_attrs["trial"])
            elif trial.state == TrialState.RUNNING:
                running[trial.user_attrs["number"]] = trial.user_attrs["params"]
        finished = {trial.number: trial for trial in self._read.values()}
        return dict(sorted(finished.items())), running

    def claim(self, number: int, params: Params, spans: dict[str, BaseDistribution]) -> None:
        """Take the trial `number`, with `params`, of which those in `spans` were searched."""
        attributes = {"number": number, "params": params}
        chosen = {name: params[name] for name in spans}
        waiting = create_trial(
            state=TrialState.WAITING, params=chosen, distributions=dict(spans), user_attrs=attributes
        )
        trial_id = self._storage.create_new_trial(self._study_id, waiting)
        self._claimed[number] = trial_id
        # In this order: a trial that runs and has no heart would never be found dead.
        self._beat([trial_id])
        self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

    def finish(self, trial: Trial) -> bool:
        """Write down how a claimed trial ended; False if it has been given to another machine meanwhile."""
        trial_id = self._claimed.pop(trial.number)
        complete = trial.outcome == "complete"
        try:
            self._storage.set_trial_user_attr(trial_id, "trial", trial.model_dump(mode="json"))
            self._storage.set_trial_state_values(
                trial_id,
                TrialState.COMPLETE if complete else TrialState.PRUNED,
                None if trial.value is None else [trial.value],
            )
        except UpdateFinishedTrialError:
            return False
        return True

    def release(self, number: int, *, lost: bool = False) -> None:
        """Give a claimed trial back to be run again; `lost` if it took its worker with it."""
        trial_id = self._claimed.pop(number)
        try:
            if lost:
                self._storage.set_trial_user_attr(trial_id, "lost", True)
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            pass

    def n_lost(self, number: int) -> int:
        """How many workers died in a trial."""
        trials = self._study.get_trials(deepcopy=False)
        return Counter(trial.user_attrs["number"] for trial in trials if trial.user_attrs.get("lost"))[number]

    def beat(self) -> None:
        """Give a sign of life, if it is time for one, so that other machines leave our trials alone."""
        if time.monotonic() - self._beaten > _BEAT_S:
            self._beat(self._claimed.values())

    def _beat(self, trial_ids: Iterable[int]) -> None:
        if isinstance(self._storage, RDBStorage):
            for trial_id in trial_ids:
                self._storage.record_heartbeat(trial_id)
        self._beaten = time.monotonic()

    def _fail_stale(self) -> None:
        with warnings.catch_warnings():  # of being experimental
            warnings.simplefilter("ignore")
            fail_stale_trials(self._study)

    def _fail_abandoned(self) -> None:
        """Fail what a killed process left running: nobody else holds the lock."""
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)


@contextmanager
def open_trial_storage(
    journal: Path, url: str | None, direction: Direction, champion: Params | None
) -> Iterator[TrialStorage]:
    """The study of the name of `journal`: in that file, or in the database at `url`.

    A journal belongs to one process at a time, others wait; a database to all who come.

    Raises:
        UsageError: the journal can't be written, or there is no driver for the database.
        SourceUnavailable: the database can't be reached, or is lost on the way.
    """
    if url is None:
        with locked(journal):
            yield TrialStorage(_journal(journal), journal.stem, direction, champion, nullcontext, is_private=True)
        return
    full = make_url(with_secrets(url, "tuning.storage"))
    with database_errors(url, "tuning.storage"):
        waits = patience(full)
        engine = create_engine(full, poolclass=NullPool, connect_args=waits)

        def claiming() -> AbstractContextManager[object]:
            return _one_at_a_time(engine, journal.stem)

        try:
            with _one_at_a_time(engine, "tables"):
                storage = _database(full.render_as_string(hide_password=False), waits)
            yield TrialStorage(storage, journal.stem, direction, champion, claiming)
        except StorageInternalError as error:
            raise (error.__cause__ or error) from None


def _journal(journal: Path) -> BaseStorage:
    _drop_torn_line(journal)
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)  # Optuna's own, left by a killed run
    return JournalStorage(JournalFileBackend(str(journal)))


def _database(url: str, waits: dict[str, Any]) -> BaseStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are called experimental
        return RDBStorage(url, engine_kwargs={"connect_args": waits}, heartbeat_interval=_BEAT_S, grace_period=_STALE_S)


@contextmanager
def _one_at_a_time(engine: Engine, name: str) -> Iterator[None]:
    """Keep all processes of a database but one from what goes by this name."""
    key = int.from_bytes(hashlib.sha256(f"mfcore {name}".encode()).digest()[:8], signed=True)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


def _drop_torn_line(journal: Path) -> None:
    """Cut off a last line that a killed process left half written; Optuna refuses the file otherwise."""
    if journal.exists():
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with journal.open("r+b") as file:
                file.truncate(whole)
