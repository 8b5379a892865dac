import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from mfcore.config import SplitConfig, TuningConfig
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import split
from mfcore.data.synthetic import synthesize
from mfcore.errors import TrainingDiverged
from mfcore.models import MODELS
from mfcore.tuning import Trial, tune

CONFIG = TuningConfig(n_trials=12, max_epochs=8)


def parts() -> tuple[Ratings, Ratings]:
    ratings = Ratings.from_frame(synthesize(120, 80, 3000).frame, Scale(1, 5, 1))
    rows = split(ratings, SplitConfig())
    return ratings.take(rows.train), ratings.take(rows.validation)


def gist(trials: list[Trial]) -> list[tuple[object, ...]]:
    return [(trial.number, trial.params, trial.curve, trial.outcome) for trial in trials]


@pytest.mark.parametrize("algorithm", ["als", "sgd", "pmf"])
def test_defaults_first_and_the_best_wins(tmp_path: Path, algorithm: str) -> None:
    tuned = tune(algorithm, *parts(), CONFIG, tmp_path / "study.log")
    assert len(tuned.trials) == 12
    defaults = MODELS[algorithm]()
    assert {name: tuned.trials[0].params[name] for name in defaults.space} == {
        name: getattr(defaults, name) for name in defaults.space
    }
    assert tuned.validation_rmse == min(t.validation_rmse for t in tuned.trials if t.validation_rmse is not None)
    assert tuned.validation_rmse <= (tuned.trials[0].validation_rmse or np.inf)
    assert tuned.recipe.params["n_epochs"] == np.argmin(tuned.best.curve) + 1
    factors = tuned.recipe.build().fit(parts()[0])
    validation = parts()[1]
    error = np.sqrt(np.mean((factors.predict(validation.users, validation.items) - validation.values) ** 2))
    assert error == pytest.approx(tuned.validation_rmse, abs=1e-6)


def test_defaults_lie_in_the_ranges_that_are_searched() -> None:
    for model in MODELS.values():
        for name, span in model.space.items():
            assert span.low <= model.model_fields[name].default <= span.high, f"{model.algorithm}.{name}"


def test_more_trials_continue_the_study(tmp_path: Path) -> None:
    journal = tmp_path / "study.log"
    ran: list[int] = []
    first = tune("als", *parts(), CONFIG.model_copy(update={"n_trials": 5}), journal)
    more = tune("als", *parts(), CONFIG, journal, on_trial=lambda trial: ran.append(trial.number))
    whole = tune("als", *parts(), CONFIG, tmp_path / "other.log")
    assert gist(more.trials)[:5] == gist(first.trials)
    assert gist(more.trials) == gist(whole.trials)
    assert ran == list(range(12))
    again = tune("als", *parts(), CONFIG.model_copy(update={"n_trials": 5}), journal)
    assert again.recipe == first.recipe


def test_another_seed_searches_elsewhere(tmp_path: Path) -> None:
    one = tune("als", *parts(), CONFIG, tmp_path / "1.log")
    other = tune("als", *parts(), CONFIG.model_copy(update={"seed": 1}), tmp_path / "2.log")
    assert one.trials[1].params != other.trials[1].params


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.unit.test_tuning import CONFIG, parts
    from mfcore.tuning import objective, tune

    real = objective.rmse
    calls = 0
    def rmse(*arguments):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    objective.rmse = rmse
    tune("als", *parts(), CONFIG, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("after", [1, 23])
def test_a_killed_search_ends_as_it_would_have(tmp_path: Path, after: int) -> None:
    journal = tmp_path / "killed.log"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(journal), str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    with journal.open("ab") as file:
        file.write(b'{"op_code":')  # what a crash in the middle of a write leaves
    resumed = tune("als", *parts(), CONFIG, journal)
    assert gist(resumed.trials) == gist(tune("als", *parts(), CONFIG, tmp_path / "whole.log").trials)


def test_the_time_limit_ends_the_study_with_what_it_has(tmp_path: Path) -> None:
    started = time.monotonic()
    tuned = tune("als", *parts(), TuningConfig(n_trials=10_000, timeout=1), tmp_path / "study.log")
    assert 1 <= len(tuned.trials) < 10_000
    assert time.monotonic() - started < 20


def test_two_on_one_journal_share_the_trials(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from tests.unit.test_tuning import CONFIG, gist, parts
        from mfcore.tuning import tune
        print(gist(tune("als", *parts(), CONFIG, Path(sys.argv[1])).trials))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "study.log")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) for _ in range(2)]
    one, other = (process.communicate()[0] for process in both)
    assert one == other
    assert one.count("complete") + one.count("pruned") == 12


def test_a_trial_that_diverges_is_noted_and_the_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MODELS["als"].begin
    begun = 0

    def begin(self, ratings):  # type: ignore[no-untyped-def]
        nonlocal begun
        begun += 1
        if begun <= diverging:
            raise TrainingDiverged("als diverged in epoch 1")
        return real(self, ratings)

    monkeypatch.setattr(MODELS["als"], "begin", begin)
    diverging = 3
    tuned = tune("als", *parts(), CONFIG, tmp_path / "some.log")
    assert [trial.outcome for trial in tuned.trials[:3]] == ["diverged"] * 3
    assert tuned.best.number >= 3
    begun, diverging = 0, 12
    with pytest.raises(TrainingDiverged, match="all 12 trials of als"):
        tune("als", *parts(), CONFIG, tmp_path / "all.log")
