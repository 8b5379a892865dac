from pathlib import Path

import pytest

from mfcore.config import PipelineConfig
from mfcore.errors import UsageError


def test_file_then_overrides(tmp_path: Path) -> None:
    file = tmp_path / "mf.toml"
    file.write_text('[dataset]\nname = "jokes.csv"\nscale_min = -10\n[tuning]\nn_trials = 5\nalgorithms = ["als"]\n')
    config = PipelineConfig.load(file, ["tuning.n_trials=7", "split.method=time", "tuning.algorithms=sgd, pmf,sgd"])
    assert (config.dataset.name, config.dataset.scale_min) == ("jokes.csv", -10)
    assert config.tuning.n_trials == 7
    assert config.split.method == "time"
    assert config.tuning.algorithms == ("sgd", "pmf")


@pytest.mark.parametrize(
    ("given", "ks"), [("10", (10,)), ("'20, 5,20'", (20, 5)), ("[3, 1]", (3, 1)), ("50,100", (50, 100))]
)
def test_lengths_of_lists(given: str, ks: tuple[int, ...]) -> None:
    assert PipelineConfig.load(overrides=[f"evaluation.ks={given}"]).evaluation.ks == ks


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tunning.n_trials=5", "unknown section 'tunning'; did you mean 'tuning'"),
        ("tuning.n_trial=5", r"unknown key in \[tuning\]: 'n_trial'; did you mean 'n_trials'"),
        ("tuning.n_trials=0", "tuning.n_trials: .* greater than or equal to 1"),
        ("tuning.algorithms=asl", "unknown algorithm 'asl'; did you mean 'als'"),
        ("split.method=randomly", "split.method: .*'random'"),
        ("evaluation.k=10", r"unknown key in \[evaluation\]: 'k'; did you mean 'ks'"),
        ("evaluation.ks=0", "evaluation.ks.*greater than or equal to 1"),
        ("evaluation.ks=[]", "evaluation.ks.*at least 1"),
        ("evaluation.ks=ten", "evaluation.ks.*valid integer"),
        ("tuning", "not of the form section.key=value"),
        ("tuning=5", "not of the form section.key=value"),
    ],
)
def test_a_wrong_setting_is_named(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PipelineConfig.load(overrides=[override])


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere.toml"):
        PipelineConfig.load(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[tuning\n")
    with pytest.raises(UsageError, match="broken.toml"):
        PipelineConfig.load(broken)


def test_every_setting_is_described() -> None:
    schema = PipelineConfig.model_json_schema()
    for name, section in schema["$defs"].items():
        for key, field in section["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_the_form_shows_words_and_no_code() -> None:
    """Prefect's form shows the docstrings of the sections as their descriptions."""
    schema = PipelineConfig.model_json_schema()
    for text in (schema["description"], *(section["description"] for section in schema["$defs"].values())):
        assert text and ">>>" not in text and "Raises:" not in text
