"""A home of its own for each test, and an observer that remembers what it was shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mfcore.config import PipelineConfig
from mfcore.settings import Settings, sqlite_uri
from mfcore.stages.context import Context
from mfcore.stages.observer import Event, Move, Observer

T = TypeVar("T")

SYNTHETIC = "synthetic:users=60,items=30,ratings=900"
NAME = "synthetic-60x30-900"


class Recorder(Observer):
    """Remembers steps, tables, texts, and how far what is in progress came."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.texts: dict[str, str] = {}
        self.moves: dict[str, tuple[int, int, str]] = {}
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def step(self, name: str, work: Callable[[], T]) -> T:
        self.steps.append(name)
        return work()

    @contextmanager
    def progress(self, key: str, title: str, unit: str) -> Iterator[Move]:
        def move(done: int, of: int, remark: str) -> None:
            self.moves[key] = (done, of, remark)

        yield move

    def show_table(self, key: str, rows: list[dict[str, Any]], description: str) -> None:
        self.tables[key] = rows

    def show_text(self, key: str, text: str) -> None:
        self.texts[key] = text

    def announce(self, event: Event, dataset: str, **facts: Any) -> None:
        self.events.append((event, dataset, facts))


def settings_in(folder: Path) -> Settings:
    uri = sqlite_uri(folder / "mlruns" / "mlflow.db")
    return Settings(folder / "home", uri, folder / "mlruns", folder / "exports")


def configured(*overrides: str, dataset: str = SYNTHETIC) -> PipelineConfig:
    return PipelineConfig.load(overrides=[f"dataset.name={dataset}", *overrides])


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def context(tmp_path: Path, recorder: Recorder) -> Context:
    return Context(configured(), observer=recorder, settings=settings_in(tmp_path))
