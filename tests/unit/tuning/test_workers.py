"""Workers: the same trials, the same memory, and nothing lost but a trial when one is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mfcore import workers
from mfcore.config import TuningConfig
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.tuning import Trial, trial_storage, tune
from mfcore.tuning.folds import folds_of, share
from mfcore.tuning.workers import training_pool
from mfcore.workers import Worker, WorkerKilled, WorkerPool
from tests.unit.tuning.test_search import gist, parts

RANDOM = TuningConfig(n_trials=12, max_epochs=6, sampler="random", pruner="hyperband", validation="k-fold", n_folds=3)
TPE = TuningConfig(n_trials=16, max_epochs=6, n_workers=2, validation="single")


def with_workers(config: TuningConfig, n_workers: int = 2) -> TuningConfig:
    return config.model_copy(update={"n_workers": n_workers})


def test_one_worker_and_two_run_the_same_trials(tmp_path: Path) -> None:
    one = tune("sgd", *parts(), RANDOM, tmp_path / "1.log")
    two = tune("sgd", *parts(), with_workers(RANDOM), tmp_path / "2.log")
    assert gist(two.trials) == gist(one.trials)
    assert two.recipe == one.recipe
    assert {trial.outcome for trial in one.trials} == {"complete", "pruned"}
    assert one.spread is not None
    assert one.spread > 0


def test_studies_that_share_workers_run_the_trials_they_run_alone(tmp_path: Path) -> None:
    config = TuningConfig(n_trials=10, max_epochs=5, validation="single")
    tasks = [("als", Objective.RATING), ("als", Objective.RANKING), ("sgd", Objective.RATING)]

    def run(algorithm: str, objective: Objective, folder: Path, pool: WorkerPool | None) -> list[Any]:
        journal = folder / f"{objective}-{algorithm}.log"
        return gist(tune(algorithm, *parts(), config, journal, objective=objective, pool=pool).trials)

    folds = {one: folds_of(*parts(), config, Yardstick(objective=one)) for one in Objective}
    with training_pool(folds, tmp_path, 1) as pool, ThreadPoolExecutor(2) as threads:
        running = [threads.submit(run, *task, tmp_path / "together", pool) for task in tasks]
        together = [one.result() for one in running]
    assert together == [run(*task, tmp_path / "alone", None) for task in tasks]
    with pytest.raises(WorkerKilled, match="nothing is trained any more"):
        pool.take()


@pytest.mark.slow
def test_tpe_with_a_worker_killed_runs_the_trials_it_runs_undisturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tune("als", *parts(), TPE, tmp_path / "whole.log")
    started: list[Worker] = []

    class Mortal(Worker):
        def say(self, document: Any) -> None:
            super().say(document)
            if isinstance(document, dict):
                started.append(self)
                if len(started) in (3, 9):
                    os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "Worker", Mortal)
    killed = tune("als", *parts(), TPE, tmp_path / "killed.log")
    assert gist(killed.trials) == gist(whole.trials)
    assert len(started) == 18
    assert caplog.text.count("a worker died in trial rating-als-0") == 2


def test_a_trial_that_kills_every_worker_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fragile(Worker):
        def say(self, document: Any) -> None:
            super().say(document)
            if isinstance(document, dict) and document["recipe"]["params"]["n_factors"] == 32:
                os.kill(self._process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers, "Worker", Fragile)
    space = {"als": {"n_factors": [8, 32]}}
    config = TuningConfig(sampler="grid", space=space, max_epochs=3, n_workers=2, validation="single")
    tuned = tune("als", *parts(), config, tmp_path / "study.log")
    assert [(trial.outcome, trial.params["n_factors"]) for trial in tuned.trials] == [
        ("complete", 64),
        ("complete", 8),
        ("lost", 32),
    ]


def test_a_worker_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Worker.say
    monkeypatch.setattr(Worker, "say", lambda self, document: told(self, {"recipe": "none", "yardstick": {}}))
    with pytest.raises(RuntimeError, match="a worker ended with 1:(?s:.*)validation error for Recipe"):
        tune("als", *parts(), TPE, tmp_path / "study.log")


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mfcore.tuning import tune
    from tests.unit.tuning.test_search import parts
    from tests.unit.tuning.test_workers import TPE

    def on_trial(trial):
        if trial.number == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    tune("als", *parts(), TPE, Path(sys.argv[1]), on_trial)
"""


@pytest.mark.slow
def test_when_everything_is_killed_the_search_goes_on_as_it_would_have(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "killed.log")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    resumed = tune("als", *parts(), TPE, tmp_path / "killed.log")
    assert gist(resumed.trials) == gist(tune("als", *parts(), TPE, tmp_path / "whole.log").trials)


def test_workers_share_the_arrays(tmp_path: Path) -> None:
    """What one maps of a file is in memory once: the kernel counts it as shared, and as nobody's own."""
    folds = folds_of(*parts(), TPE, Yardstick())
    share(folds, tmp_path)
    code = """
        import re, sys
        from pathlib import Path
        from mfcore.models import ALS
        from mfcore.tuning.folds import shared
        train, held_out = shared(Path(sys.argv[1]))[0]
        print(float(train.values.sum()), flush=True)
        ALS(n_factors=4).train(train)
        maps = re.split(r"\\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
        own = [one for one in maps if "train/values.npy" in one.partition("\\n")[0]]
        print(len(own), sum(int(re.search(r"Anonymous: +(\\d+)", one)[1]) for one in own))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert said == [str(float(folds[0][0].values.sum())), "1", "0"]


VICTIM = """
    import os, signal, sys
    from pathlib import Path
    from mfcore.tuning import search, trial_storage, tune
    from tests.unit.tuning.test_search import parts
    from tests.unit.tuning.test_workers import RANDOM

    trial_storage._BEAT_S, trial_storage._STALE_S = 1, 3
    calls, real = 0, search.Attempt.report
    def report(*arguments):
        global calls
        calls += 1
        if calls == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    search.Attempt.report = report
    shared = RANDOM.model_copy(update={"storage": sys.argv[2], "pruner": "none"})
    tune("sgd", *parts(), shared, Path(sys.argv[1]), lambda trial: print(trial.number, flush=True))
"""


@pytest.mark.slow
def test_machines_share_a_study_in_postgresql_and_outlive_each_other(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_storage, "_BEAT_S", 1)
    monkeypatch.setattr(trial_storage, "_STALE_S", 3)
    plain = RANDOM.model_copy(update={"pruner": "none"})
    journal = tmp_path / "shared.log"
    code = textwrap.dedent(VICTIM)
    victim = subprocess.Popen([sys.executable, "-c", code, str(journal), postgres], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert victim.stdout.readline() == "0\n"
    told: list[Trial] = []
    config = plain.model_copy(update={"storage": postgres})
    tuned = tune("sgd", *parts(), config, journal, told.append)
    assert victim.wait() == -signal.SIGKILL
    assert gist(tuned.trials) == gist(tune("sgd", *parts(), plain, tmp_path / "alone.log").trials)
    assert sorted(trial.number for trial in told) == list(range(12))
    assert not journal.exists()
    again = time.monotonic()
    assert tune("sgd", *parts(), config, journal).trials == tuned.trials
    assert time.monotonic() - again < 3


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("postgresql+psycopg2://me:${TUNING_PW}@127.0.0.1:1/db", SourceUnavailable, "refused"),
        ("postgresql+nosuch://me@127.0.0.1:1/db", UsageError, "no driver for postgresql"),
        ("postgresql://me:${UNSET_PW}@host/db", UsageError, r"tuning.storage refers to \$\{UNSET_PW\}"),
    ],
)
def test_a_database_that_cannot_be_had_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, error: type[Exception], words: str
) -> None:
    monkeypatch.setenv("TUNING_PW", "hunter2")
    with pytest.raises(error, match=words) as raised:
        tune("als", *parts(), TPE.model_copy(update={"storage": url}), tmp_path / "study.log")
    assert len(str(raised.value).splitlines()) == 1
    assert "hunter2" not in str(raised.value)
