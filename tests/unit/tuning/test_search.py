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
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import MODELS, Recipe
from mfcore.tuning import SearchInterrupted, Trial, tune
from mfcore.tuning.folds import folds_of

CONFIG = TuningConfig(n_trials=12, max_epochs=8, validation="single")


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
    assert tuned.value == min(t.value for t in tuned.trials if t.value is not None)
    assert tuned.value <= (tuned.trials[0].value or np.inf)
    assert tuned.recipe.params["n_epochs"] == np.argmin(tuned.best.curve) + 1
    factors = tuned.recipe.build().train(parts()[0])
    validation = parts()[1]
    error = np.sqrt(np.mean((factors.predict(validation.users, validation.items) - validation.values) ** 2))
    assert error == pytest.approx(tuned.value, abs=1e-6)


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
    from tests.unit.tuning.test_search import CONFIG, parts
    from mfcore.metrics import yardstick
    from mfcore.tuning import tune

    real = yardstick.rmse
    calls = 0
    def rmse(*arguments):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    yardstick.rmse = rmse
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
        from tests.unit.tuning.test_search import CONFIG, gist, parts
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
    with pytest.raises(TrainingDiverged, match="all 12 trials of rating-als"):
        tune("als", *parts(), CONFIG, tmp_path / "all.log")


def changed(**update: object) -> TuningConfig:
    return TuningConfig.model_validate({**CONFIG.model_dump(), **update})


def test_random_search_is_told_by_its_seed_and_the_number_alone(tmp_path: Path) -> None:
    one = tune("als", *parts(), changed(sampler="random"), tmp_path / "1.log")
    unpruned = tune("pmf", *parts(), changed(sampler="random", pruner="none"), tmp_path / "2.log")
    later = tune("als", *parts(), changed(sampler="random", pruner="none", max_epochs=2), tmp_path / "3.log")
    assert [trial.params for trial in later.trials] == [trial.params for trial in one.trials]
    assert {trial.outcome for trial in unpruned.trials} == {"complete"}


def test_a_grid_is_tried_whole_and_in_order(tmp_path: Path) -> None:
    space = {"als": {"n_factors": [4, 64], "reg_user": [1.0, 2.0], "reg_item": {"same_as": "reg_user"}}}
    config = TuningConfig(sampler="grid", pruner="none", max_epochs=3, space=space)
    tuned = tune("als", *parts(), config, tmp_path / "study.log")
    tried = [(trial.params["n_factors"], trial.params["reg_user"], trial.params["reg_item"]) for trial in tuned.trials]
    assert tried == [(64, 1.0, 1.0), (4, 1.0, 1.0), (4, 2.0, 2.0), (64, 2.0, 2.0)]  # (64, 1, 1) are the defaults


def test_hyperband_gives_up_early_and_keeps_the_best(tmp_path: Path) -> None:
    config = changed(sampler="random", pruner="hyperband", n_trials=24, max_epochs=9, patience=9)
    tuned = tune("als", *parts(), config, tmp_path / "1.log")
    every = tune("als", *parts(), config.model_copy(update={"pruner": "none"}), tmp_path / "2.log")
    pruned = [trial for trial in tuned.trials if trial.outcome == "pruned"]
    assert {len(trial.curve) for trial in pruned} <= {1, 3, 9}  # the rungs
    assert sum(len(trial.curve) for trial in tuned.trials) < sum(len(trial.curve) for trial in every.trials)
    assert all(
        one.curve == other.curve[: len(one.curve)] for one, other in zip(tuned.trials, every.trials, strict=True)
    )
    assert tuned.value <= sorted(trial.value or 9 for trial in every.trials)[2]


def test_the_champion_is_trial_1_and_the_study_keeps_to_it(tmp_path: Path) -> None:
    champion = Recipe(algorithm="als", params={"n_factors": 3, "reg_user": 9.5, "n_epochs": 4, "seed": 7})
    few = changed(n_trials=3)
    tuned = tune("als", *parts(), few, tmp_path / "1.log", champion=champion)
    assert tuned.trials[0].params["n_factors"] == 64
    assert tuned.trials[1].params == {**champion.build().model_dump(exclude={"n_epochs"})}
    another = Recipe(algorithm="als", params={"n_factors": 5})
    assert tune("als", *parts(), changed(n_trials=4), tmp_path / "1.log", champion=another).trials[:3] == tuned.trials
    of_pmf = tune("pmf", *parts(), few, tmp_path / "2.log", champion=champion)
    assert gist(of_pmf.trials) == gist(tune("pmf", *parts(), few, tmp_path / "3.log").trials)


def test_folds_part_what_there_is() -> None:
    train, validation = parts()
    folds = folds_of(train, validation, changed(validation="k-fold", n_folds=4), Yardstick())
    pairs = sorted(zip([*train.users, *validation.users], [*train.items, *validation.items], strict=True))
    held_out = [pair for _, fold in folds for pair in zip(fold.users, fold.items, strict=True)]
    assert sorted(held_out) == pairs
    for kept, fold in folds:
        assert len(fold) in (len(pairs) // 4, len(pairs) // 4 + 1)
        together = [*zip(kept.users, kept.items, strict=True), *zip(fold.users, fold.items, strict=True)]
        assert sorted(together) == pairs


def test_k_fold_validation_is_the_mean_and_the_spread_of_fits_one_by_one(tmp_path: Path) -> None:
    config = changed(validation="k-fold", n_folds=3, n_trials=2)
    tuned = tune("als", *parts(), config, tmp_path / "study.log")
    model = tuned.recipe.build()
    errors = []
    for kept, held_out in folds_of(*parts(), config, Yardstick()):
        predicted = model.train(kept).predict(held_out.users, held_out.items)
        errors.append(np.sqrt(np.mean((predicted - held_out.values) ** 2)))
    assert tuned.value == pytest.approx(np.mean(errors), abs=1e-6)
    assert tuned.spread == pytest.approx(np.std(errors, ddof=1), abs=1e-6)
    assert tune("als", *parts(), changed(n_trials=1), tmp_path / "single.log").spread is None


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_search_that_is_stopped_keeps_what_is_finished_and_goes_on_later(tmp_path: Path, n_workers: int) -> None:
    config, journal = changed(sampler="random", n_workers=n_workers), tmp_path / "study.log"
    with pytest.raises(SearchInterrupted):
        tune("als", *parts(), config, journal, is_stopped=lambda: True)
    told: list[Trial] = []
    tuned = tune("als", *parts(), config, journal, told.append, is_stopped=lambda: len(told) >= 3)
    assert tuned.interrupted
    assert 3 <= len(tuned.trials) == len(told) < 12
    progress: list[tuple[int, int]] = []
    whole = tune("als", *parts(), config, journal, on_progress=lambda *of: progress.append(of))
    assert not whole.interrupted
    assert len(whole.trials) == 12
    assert progress[0] == (len(told), 12)
    assert progress[-1] == (12, 12)
    assert whole.trials[: len(told)] == told if n_workers == 1 else set(map(str, told)) <= set(map(str, whole.trials))


def test_a_search_that_began_outside_of_its_space_finds_its_way_in(tmp_path: Path) -> None:
    space = {"als": {"n_factors": {"low": 2, "high": 4}}}
    tuned = tune("als", *parts(), changed(space=space, n_trials=14), tmp_path / "study.log")
    assert tuned.trials[0].params["n_factors"] == 64
    assert all(2 <= trial.params["n_factors"] <= 4 for trial in tuned.trials[1:])
