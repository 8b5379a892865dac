import numpy as np
import pytest

from mfcore.data.ratings import Scale
from mfcore.models.factors import Factors


def factors(**changed: object) -> Factors:
    zero = np.zeros((2, 3), np.float32)
    given: dict[str, object] = {
        "global_mean": 3.0,
        "user_bias": zero[:, 0],
        "item_bias": zero[:, 0],
        "user_factors": zero,
        "item_factors": zero,
        "user_ids": np.arange(2),
        "item_ids": np.arange(2),
        "scale": Scale(1, 5, 1),
    }
    return Factors(**{**given, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"link": "probit"}, "unknown link 'probit'"),
        ({"scale": Scale(1, float("nan"))}, "no scale"),
        ({"scale": Scale(float("-inf"), 5)}, "no scale"),
        ({"scale": Scale(7, 2)}, "no scale"),
        ({"user_bias": np.zeros(2)}, "user_bias is float64"),
        ({"item_ids": np.arange(4)}, "item_bias"),
        ({"n_draws": 2}, "3 columns are not 2 equal groups"),
    ],
)
def test_what_no_model_has_is_refused_whoever_makes_it(changed: dict[str, object], said: str) -> None:
    assert factors().n_factors == 3
    with pytest.raises(ValueError, match=said):
        factors(**changed)
