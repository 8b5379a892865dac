"""A search that other machines take part in."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from mfcore.stages.context import Context
from mfcore.stages.observer import Observer
from mfcore.stages.tune import load_tuned, tune_recipes
from mfcore.tuning.search import Attempt, Search
from tests.unit.stages.conftest import configured, settings_in

SETTINGS = (
    *("tuning.rating=sgd", "tuning.ranking=als", "tuning.n_trials=3"),
    *("tuning.sampler=random", "tuning.pruner=none"),
)


class Helped(Observer):
    """Has all parts done before the block begins."""

    n_parts, at_work = 0, False

    @contextmanager
    def on_cluster(
        self, address: str, work: str, parts: Sequence[dict[str, Any]], wait_s: float | None
    ) -> Iterator[Callable[[], None]]:
        self.at_work = True
        for part in parts:
            resolve_name(work)(part)
            self.n_parts += 1
        self.at_work = False
        yield lambda: None


@pytest.mark.slow
def test_trials_that_others_ran_are_not_run_again_and_are_the_same(
    tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = load_tuned(tune_recipes(Context(configured(*SETTINGS), settings=settings_in(tmp_path / "alone"))))
    where = ("cluster.address=dask://somewhere:1", f"tuning.storage={postgres}")
    taken: list[bool] = []
    real = Search.next

    def taking(search: Search) -> Attempt | None:
        attempt = real(search)
        taken.append(attempt is not None and not helped.at_work)
        return attempt

    monkeypatch.setattr(Search, "next", taking)
    helped = Helped()
    together = load_tuned(
        tune_recipes(Context(configured(*SETTINGS, *where), observer=helped, settings=settings_in(tmp_path / "helped")))
    )
    assert helped.n_parts == 2 and not any(taken)
    assert {name: study.value for name, study in together.items()} == {
        name: study.value for name, study in alone.items()
    }
    for name, study in alone.items():
        assert [trial.params for trial in together[name].trials] == [trial.params for trial in study.trials]
