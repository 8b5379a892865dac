import subprocess
import sys

import pytest

from mfcore.errors import UsageError
from mfcore.models import ALS, MODELS, Recipe


def test_builds_what_it_names() -> None:
    assert Recipe(algorithm="als", params={"n_factors": 8, "reg_user": 0.5}).build() == ALS(n_factors=8, reg_user=0.5)
    assert all(Recipe(algorithm=name).build().algorithm == name for name in MODELS)


@pytest.mark.parametrize(
    ("algorithm", "params", "message"),
    [
        ("asl", {}, "unknown algorithm 'asl'; did you mean 'als'?"),
        ("als", {"n_factor": 3}, "no hyper-parameter 'n_factor'; did you mean 'n_factors'?"),
        ("als", {"n_factors": 0}, "als: n_factors = 0"),
        ("sgd", {"learning_rate": "fast"}, "sgd: learning_rate = 'fast'"),
    ],
)
def test_refuses_the_impossible_with_one_line(algorithm: str, params: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe(algorithm=algorithm, params=params).build()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fingerprint_follows_the_content() -> None:
    one = Recipe(algorithm="als", params={"n_factors": 8, "reg_user": 0.5})
    assert one.fingerprint == Recipe(algorithm="als", params={"reg_user": 0.5, "n_factors": 8}).fingerprint
    assert one.fingerprint != Recipe(algorithm="als", params={"n_factors": 9, "reg_user": 0.5}).fingerprint
    assert Recipe.model_validate_json(one.model_dump_json()) == one


def test_hyper_parameters_keep_their_types_through_json() -> None:
    params = {"n_factors": 8, "reg_user": 1.0, "flag": True, "name": "x"}
    again = Recipe.model_validate_json(Recipe(algorithm="als", params=params).model_dump_json()).params
    assert [type(value) for value in again.values()] == [int, float, bool, str]


def test_trial_zero_lies_in_the_space() -> None:
    for model in MODELS.values():
        defaults = model()
        for name, reach in model.space.items():
            assert reach.low <= getattr(defaults, name) <= reach.high, (model, name)


def test_models_import_without_the_compiler() -> None:
    """Whoever only loads factors shouldn't wait for numba."""
    code = "import sys, mfcore.models, mfcore.serving.titles; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
