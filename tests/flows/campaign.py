"""Runs of the chain that are killed at random moments, and what has to hold then and in the end.

`python -m tests.flows.campaign FOLDER LIVES CROWDS DISKS`: a life is a data set's store from nothing to its first
champion, with two kills in each stage; in a crowd four runs of one store are at work at once, and two of them are
killed; a disk is full at some moment of a run (it takes `unshare --map-root-user --mount` around the command). This
process runs the chain once, undisturbed, so that all is loaded and compiled; each further run is a fork of it.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient

from mfcore.config import PipelineConfig
from mfcore.settings import Settings
from mfcore.stages.context import Context
from mfcore.stages.pipeline import run_pipeline
from mfcore.stages.table import STAGES, Stage
from mfcore.storage.artifacts import MANIFEST, damage
from mfcore.storage.kinds import Kind
from mfcore.tracking.registry import Registry
from mfcore.tracking.store import prepare_store

CONFIG = PipelineConfig.model_validate(
    {
        "dataset": {"name": "synthetic:users=60,items=30,ratings=900"},
        "tuning": {"rating": ["als"], "ranking": ["als"], "n_trials": 3, "max_epochs": 3, "validation": "single"},
        "evaluation": {"max_baseline_items": 0},
        "report": {"enabled": True},
    }
)
NAME = "synthetic-60x30-900"
TRIALS = [f"{study}-{number:03d}" for study in ("ranking-als", "rating-als") for number in range(3)]
KILLS_PER_STAGE = 2
PATIENCE_S = 240


@dataclass
class Child:
    """A fork that does some work in a folder; what it says, line by line, comes through a pipe."""

    pid: int
    pipe: int
    said: list[str] = field(default_factory=list)
    rest: bytes = b""

    @classmethod
    def start(cls, folder: Path, work: Callable[[Callable[[str], object]], object]) -> "Child":
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return cls(pid, reading)
        code = 1
        try:
            os.chdir(folder)
            tempfile.tempdir = str(folder / "tmp")
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow has set it to this process's own store
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            work(lambda line: os.write(writing, f"{line}\n".encode()))
            code = 0
        except BaseException as error:
            os.write(writing, f"{type(error).__module__}.{type(error).__name__}: {error!s}".encode() + b"\n")
            sys.excepthook(type(error), error, error.__traceback__)
        os._exit(code)

    def listen(self, seconds: float, wanted: str | None = None) -> bool:
        """Read for some time, or until it has said what is wanted; whether it still runs."""
        until = time.monotonic() + seconds
        while wanted not in self.said:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return True
            part = os.read(self.pipe, 65536)
            if not part:
                return False
            *lines, self.rest = (self.rest + part).split(b"\n")
            self.said += [line.decode() for line in lines]
        return True

    def kill(self) -> bool:
        """SIGKILL; whether it was there to be killed."""
        os.kill(self.pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end; the exit code, or the negative number of a signal."""
        if self.listen(PATIENCE_S):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start_run(folder: Path) -> Child:
    """Begin a run; it says when each stage begins, and in the end its result."""

    def work(tell: Callable[[str], object]) -> None:
        def told(stage: Stage[Any], context: Context, given: Any) -> Any:
            tell(stage.name)
            return stage.run(context, given)

        tell(run_pipeline(Context(CONFIG), told).model_dump_json())

    return Child.start(folder, work)


def found(folder: Path, look: Callable[[], Any]) -> Any:
    """What a function finds in a folder; in a fork, since this process must not open databases that forks open."""
    child = Child.start(folder, lambda tell: tell(json.dumps(look())))
    assert child.end() == 0, (folder / "log").read_text()[-4000:]
    return json.loads(child.said[-1])


def wrong_now() -> list[str]:
    """What must never be, at no moment: something half written, or a name for something that is not whole."""
    settings = Settings.read()
    folders = [path for kind in Kind for path in (settings.home / kind).glob(f"[!.]*-{'[0-9a-f]' * 16}")]
    wrong = [damage(path) for path in [*folders, *settings.exports.glob("*/[0-9]*")]]
    for latest in settings.exports.glob("*/latest"):
        if not (latest / MANIFEST).is_file():
            wrong.append(f"{latest} points to nothing")
    registry = Registry(settings, NAME)
    for version in registry.versions():
        if version.aliases:
            registry.pull(version)
    return [one for one in wrong if one is not None]


def finished_trials() -> dict[str, str]:
    """Id → name of the runs in MLflow of trials that are whole."""
    runs = [one for one in _runs() if one.info.status == "FINISHED" and "trial" in one.data.tags]
    return {one.info.run_id: one.info.run_name for one in runs}


def wrong_in_the_end() -> list[str]:
    """What runs that have all ended must not leave behind."""
    wrong = [f"{one.info.run_name} is RUNNING in MLflow" for one in _runs() if one.info.status == "RUNNING"]
    wrong += [str(path) for path in Path().rglob(".*.tmp")]
    trials = sorted(finished_trials().values())
    return wrong if trials == TRIALS else [*wrong, f"trials {trials}"]


def _runs() -> list[Any]:
    client = MlflowClient(Settings.read().tracking_uri)
    experiment = client.get_experiment_by_name(f"mfcore/{NAME}")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id], max_results=10_000))


class Campaign:
    """Lives and crowds, counted, with what was wrong in any of them."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.rng = place, np.random.default_rng(seed)
        self.kills: Counter[str] = Counter()
        self.wrong: list[str] = []
        undisturbed = place / "undisturbed"
        undisturbed.mkdir(parents=True)
        os.chdir(undisturbed)
        prepare_store(Settings.read().tracking_uri)
        shutil.copytree(undisturbed, place / "template")
        run_pipeline(Context(CONFIG))
        again = start_run(self._new("again"))
        assert again.end() == 0, (place / "again" / "log").read_text()[-4000:]
        self.expected = json.loads(again.said[-1])
        self.seconds = {name: one["seconds"] for name, one in self.expected["stages"].items()}

    def live(self, number: int) -> None:
        """A life: kills in each stage, one after the other, then a run that is left in peace."""
        folder, trials = self._new(f"life-{number}"), {}
        for stage in STAGES:
            for _ in range(KILLS_PER_STAGE):
                child = start_run(folder)
                # The moment may lie a little behind the stage's usual end.
                moment = self.rng.uniform(0, 1.1) * self.seconds[stage.name]
                if child.listen(PATIENCE_S, stage.name) and child.listen(moment) and child.kill():
                    self.kills[stage.name] += 1
                self._note(folder, f"killed in {stage.name}", found(folder, wrong_now))
                trials = self._trials(folder, trials)
        self._finish(folder, trials)

    def crowd(self, number: int) -> None:
        """Four runs at once, two of which are killed at any moment; the others end as if they were alone."""
        folder = self._new(f"crowd-{number}")
        children = [start_run(folder) for _ in range(4)]
        for moment in sorted(self.rng.uniform(0, sum(self.seconds.values()), 2)):
            victim = children.pop(int(self.rng.integers(len(children))))
            if victim.listen(moment) and victim.kill():
                self.kills["crowd"] += 1
        self._end(folder, children)
        self._finish(folder, found(folder, finished_trials))

    def fill(self, number: int) -> None:
        """A run on a disk that is too small for it ends with one of our errors; on a larger one it is done."""
        whole = sum(path.stat().st_size for path in (self.place / "again").rglob("*") if path.is_file())
        begin = sum(path.stat().st_size for path in (self.place / "template").rglob("*") if path.is_file())
        folder = self.place / f"disk-{number}"
        folder.mkdir()
        size = int(self.rng.uniform(begin + 200_000, whole))
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        subprocess.run(mount, check=True)
        shutil.copytree(self.place / "template", folder, dirs_exist_ok=True)
        child = start_run(folder)
        if child.end() != 0:
            self.kills["disk"] += 1
            error = child.said[-1]
            if not error.startswith("mfcore.errors."):
                self._note(folder, f"full at {size:,} bytes", [error])
        subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
        self._note(folder, "full", found(folder, wrong_now))
        self._finish(folder, found(folder, finished_trials))

    def _finish(self, folder: Path, trials: dict[str, str]) -> None:
        """A run that is left in peace, after which all is as if nobody had been killed."""
        self._end(folder, [start_run(folder)])
        self._note(folder, "in the end", found(folder, wrong_in_the_end))
        self._trials(folder, trials)

    def _end(self, folder: Path, children: list[Child]) -> None:
        """Wait for runs, which have to come to the same result as an undisturbed one."""
        for child in children:
            if child.end() != 0:
                self._note(folder, "no end", [(folder / "log").read_text()[-3000:]])
                continue
            result = json.loads(child.said[-1])
            for key in ("champion", "version", "algorithm", "metrics", "model_uri"):
                if result[key] != self.expected[key]:
                    self._note(folder, "another result", [f"{key} {result[key]}, not {self.expected[key]}"])
        self._note(folder, "then", found(folder, wrong_now))

    def _trials(self, folder: Path, before: dict[str, str]) -> dict[str, str]:
        """The trials that are whole; none that was may be missing."""
        now: dict[str, str] = found(folder, finished_trials)
        self._note(folder, "lost trials", sorted(name for run, name in before.items() if run not in now))
        return now

    def _note(self, folder: Path, when: str, wrong: list[str]) -> None:
        self.wrong += [f"{folder.name}, {when}: {one}" for one in wrong]

    def _new(self, name: str) -> Path:
        shutil.copytree(self.place / "template", self.place / name)
        return self.place / name


def main() -> None:
    """Run the campaign and print what came of it as JSON."""
    wanted = dict(zip(("live", "crowd", "fill"), map(int, sys.argv[2:]), strict=True))
    campaign = Campaign(Path(sys.argv[1]).absolute(), seed=0)
    for number in range(max(wanted.values())):
        for name, n in wanted.items():
            if number < n:
                getattr(campaign, name)(number)
                print(name, number, dict(campaign.kills), campaign.wrong, file=sys.stderr, flush=True)
    print(json.dumps({"kills": campaign.kills, "wrong": campaign.wrong}))


if __name__ == "__main__":
    main()
