"""The champion is exchanged when the alias moves, and stays while the next one is not whole."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from mfcore.errors import SourceUnavailable
from mfcore.models.model import Model
from mfcore.serving.live import Live
from tests.unit.serving.test_answers import model  # noqa: F401


@dataclass
class OnShelf:
    version: int
    name: str = "mfcore-films"


class Shelf:
    """A registry in memory."""

    def __init__(self, models: Mapping[int, Model], champion: int | None) -> None:
        self.models, self.version = models, champion
        self.pulls = 0
        self.error: Exception | None = None

    def champion(self) -> OnShelf | None:
        return None if self.version is None else OnShelf(self.version)

    def pull(self, registered: OnShelf) -> Model:
        self.pulls += 1
        if self.error is not None:
            raise self.error
        return self.models[registered.version]


def version(live: Live[OnShelf]) -> int | None:
    return live.answers.version if live.answers else None


def test_the_next_champion_takes_over_once(model: Model) -> None:  # noqa: F811
    shelf = Shelf({1: model, 2: model}, champion=None)
    live = Live(shelf)
    live.look()
    assert live.answers is None and live.problem == "the registry has no champion"
    for champion, pulls in ((1, 1), (1, 1), (2, 2), (1, 3)):
        shelf.version = champion
        live.look()
        assert (version(live), shelf.pulls, live.problem, live.name) == (champion, pulls, None, "mfcore-films")


def test_the_one_before_answers_while_the_next_is_not_whole(model: Model) -> None:  # noqa: F811
    shelf = Shelf({1: model, 2: model}, champion=1)
    live = Live(shelf)
    live.look()
    shelf.version, shelf.error = 2, SourceUnavailable("models:/mfcore-films/2 is damaged.")
    live.look()
    assert version(live) == 1 and live.problem == "models:/mfcore-films/2 is damaged."
    shelf.error = None
    live.look()
    assert version(live) == 2 and live.problem is None


def test_a_thread_looks_again_and_again_and_survives_anything(
    model: Model,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    shelf = Shelf({1: model, 2: model}, champion=1)
    shelf.error = RuntimeError("something of ours")
    live = Live(shelf, seconds=0.01)
    live.start()
    try:
        waited = threading.Event()
        for _ in range(1000):
            if shelf.pulls >= 2:
                shelf.error = None
            if version(live) == 1:
                shelf.version = 2
            if version(live) == 2:
                break
            waited.wait(0.01)
    finally:
        live.stop()
    assert version(live) == 2
