"""What is printed is read back as the same configuration."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfcore.config import DatasetConfig, PipelineConfig
from mfcore.config_file import to_toml

SPACE: dict[str, Any] = {
    "als": {
        "n_factors": [8, 16],
        "reg_user": {"low": 1e-05, "high": 10, "log": True},
        "reg_item": {"same_as": "reg_user"},
        "nonnegative": True,
    },
    "ranking-als": {"missing_weight": 0.25},
}


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"tuning": {"space": SPACE, "timeout": 12.5, "algorithms": "als,sgd"}, "evaluation": {"ks": [3], "seed": 2}},
        {
            "split": {
                "method": "time",
                "validation_from": "2010-01-01T00:00:00+02:00",
                "test_from": "2011-01-01T00:00:00.25Z",
            }
        },
        {"split": {"method": "time", "validation_from": "2010-01-01", "test_from": "2011-01-01"}},
        {"dataset": {"name": 'a "film" \\ é 🎬\n\t\x7f', "not_rated": [0, -1.5], "scale_min": -10}},
        {"tuning": {"storage": "postgresql://me:${PASSWORD}@host/db"}, "drift": {"stop_on": "size,mean"}},
    ],
)
def test_it_is_read_back_as_the_same(tree: dict[str, Any], tmp_path: Path) -> None:
    config = PipelineConfig.model_validate(tree)
    file = tmp_path / "mf.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    assert PipelineConfig.load(file) == config


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), st.floats(-1e300, 1e300))
def test_any_text_and_number_is_read_back(text: str, number: float) -> None:
    config = PipelineConfig(dataset=DatasetConfig(name=text, scale_min=number))
    assert PipelineConfig.model_validate(tomllib.loads(to_toml(config))) == config


def test_every_key_is_there_with_its_description() -> None:
    lines = to_toml(PipelineConfig()).splitlines()
    assert max(map(len, lines)) <= 100
    text = " ".join(line.removeprefix("#").strip() for line in lines)
    for name, section in PipelineConfig.model_fields.items():
        assert f"[{name}]" in lines
        assert isinstance(section.annotation, type)
        for key, field in section.annotation.model_fields.items():
            assert field.description is not None and field.description in text, f"{name}.{key}"
            assert any(line.startswith((f"{key} = ", f"# {key} is not set", f"# [{name}.{key}]")) for line in lines)
