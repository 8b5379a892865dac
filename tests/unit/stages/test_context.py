"""What stages share: a name without a look-up, one parent run, inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mfcore.errors import UsageError
from mfcore.stages.context import Context
from mfcore.storage.kinds import Kind
from tests.unit.stages.conftest import NAME, configured, settings_in


class Runs:
    """Stands for an experiment: numbers the runs that are started in it, and remembers them."""

    def __init__(self) -> None:
        self.started: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    def end_abandoned(self) -> None: ...

    @contextmanager
    def run(self, name: str, *, tags: dict[str, str], params: dict[str, Any]) -> Iterator[str]:
        self.started.append((name, tags, params))
        yield f"run-{len(self.started)}"


def test_a_data_set_that_is_named_is_not_looked_up(tmp_path: Path) -> None:
    config, settings = configured(dataset="gone/away.csv"), settings_in(tmp_path)
    assert Context(config, "shop", settings=settings).dataset_name == "shop"
    with pytest.raises(Exception, match=r"gone/away\.csv"):
        _ = Context(config, settings=settings).dataset_name
    with pytest.raises(UsageError, match="did you mean 'ml-100k'"):
        _ = Context(configured(dataset="ml-100"), settings=settings).dataset_name


def test_nothing_is_made_by_opening_a_context(tmp_path: Path) -> None:
    assert Context(configured(), settings=settings_in(tmp_path)).dataset_name == NAME
    assert not list(tmp_path.iterdir())


def test_a_stage_within_the_pipeline_takes_the_pipelines_run(context: Context) -> None:
    context.experiment = runs = Runs()
    with context.parent_run("pipeline", "pipeline-1") as outer, context.parent_run("tune") as inner:
        assert inner.id == outer.id == "run-1"
    with context.parent_run("tune") as alone:
        assert alone.id == "run-2"
    assert [(name, tags) for name, tags, _ in runs.started] == [
        ("pipeline-1", {"stage": "pipeline"}),
        ("tune", {"stage": "tune"}),
    ]
    params = runs.started[0][2]
    assert params["split.method"] == "random"
    assert None not in params.values()


def test_a_run_that_failed_is_no_parent_of_the_next(context: Context) -> None:
    context.experiment = Runs()
    with pytest.raises(RuntimeError), context.parent_run("tune") as failed:
        assert failed.id == "run-1"
        raise RuntimeError
    with context.parent_run("tune") as again:
        assert again.id == "run-2"


def test_a_run_that_nobody_asks_for_does_not_begin(context: Context) -> None:
    context.experiment = runs = Runs()
    with context.parent_run("tune") as run:
        assert not run.has_begun
    assert not runs.started


def test_the_input_is_what_was_given(context: Context) -> None:
    older, _ = (context.store.make(Kind.STUDIES, NAME, key, lambda folder: {}) for key in ("1", "2"))
    assert context.input(older, Kind.STUDIES) == older


def test_raw_files_are_those_of_today_though_others_were_made_last(tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    context = Context(configured(dataset=str(file)), settings=settings_in(tmp_path))
    prints = {}
    for rating in (3, 4, 3):
        file.write_text(f"user_id,item_id,rating\n1,2,{rating}\n")
        raw = context.input(None, Kind.RAW)
        assert prints.setdefault(rating, raw.fingerprint) == raw.fingerprint
    assert len(set(prints.values())) == 2


def test_files_are_known_by_the_name_they_were_downloaded_under(tmp_path: Path) -> None:
    file, settings = tmp_path / "export.csv", settings_in(tmp_path)
    file.write_text("user_id,item_id,rating\n1,2,3\n")
    raw = Context(configured(f"dataset.source={file}", dataset="shop"), settings=settings).input(None, Kind.RAW)
    later = Context(configured(dataset="shop"), settings=settings)
    assert later.dataset_name == "shop"
    assert later.input(None, Kind.RAW).path == raw.path
    with pytest.raises(UsageError, match="unknown data set 'shops'"):
        Context(configured(dataset="shops"), settings=settings).input(None, Kind.RAW)
