"""The table of stages, held against the functions it names."""

import inspect
from pkgutil import resolve_name

import pytest

from mfcore.stages.table import STAGES, Stage


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_a_function_of_the_context_and_of_what_it_takes(stage: Stage) -> None:
    function = resolve_name(stage.entry)
    context, *given = inspect.signature(function).parameters.values()
    assert context.name == "context"
    assert [one.default for one in given] == ([] if stage is STAGES[0] else [None])
    assert function.__module__ == f"mfcore.stages.{stage.name}"
    assert "Raises:" in (function.__doc__ or "")


def test_each_stage_takes_what_the_stage_before_makes() -> None:
    makes = [stage.makes for stage in STAGES]
    assert [stage.takes for stage in STAGES[1:]] == makes[:-1]
    assert len({stage.name for stage in STAGES}) == len(STAGES)
