"""The gate: which recipe the next champion is made by."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Decision", "decide"]


class Decision(BaseModel):
    """What the gate decided, and on what grounds.

    Attributes:
        promote: whether the challenger's recipe takes the champion's place.
        challenger_rmse: on the test ratings.
        champion_rmse: of the champion's recipe, trained on the same data; None when there is no champion.
        difference: challenger's RMSE less champion's; negative is better.
        interval: 95 % interval of the difference.
        reason: the decision in a sentence.
    """

    model_config = ConfigDict(frozen=True)

    promote: bool
    challenger_rmse: float
    champion_rmse: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    reason: str


def decide(
    actual: NDArray[np.float32],
    challenger: NDArray[np.float32],
    champion: NDArray[np.float32] | None,
    min_improvement: float = 0.0,
) -> Decision:
    r"""Compare two recipes, trained on the same ratings, on the same test ratings.

    With squared errors a_n of the challenger and b_n of the champion, the difference of
    the RMSEs is A − B = mean(a_n − b_n) / (A + B), which is exact. Its 95 % interval is
    that of the paired mean, ±1.96 sd(a_n − b_n)/√n, divided by the same A + B.

    The challenger is promoted when A ≤ B − `min_improvement`. A tie promotes.

    Args:
        actual: test ratings, (n,).
        challenger: the challenger's predictions, (n,).
        champion: the champion's recipe's predictions, (n,), or None when there is no champion.
        min_improvement: RMSE by which the challenger has to be better.

    >>> actual = np.array([1, 2, 3], np.float32)
    >>> decide(actual, actual + 1, actual + 2).promote
    True
    >>> decide(actual, actual + 2, actual + 1).reason
    'the recipe of the champion stays: test RMSE 1.0000, the challenger 2.0000'
    """
    challenger_errors = (challenger.astype(np.float64) - actual) ** 2
    challenger_rmse = math.sqrt(challenger_errors.mean())
    if champion is None:
        return Decision(promote=True, challenger_rmse=challenger_rmse, reason="there was no champion to compare with")
    champion_errors = (champion.astype(np.float64) - actual) ** 2
    champion_rmse = math.sqrt(champion_errors.mean())
    paired = challenger_errors - champion_errors
    scale = max(challenger_rmse + champion_rmse, np.finfo(np.float64).tiny)
    margin = 1.96 * paired.std(ddof=1) / math.sqrt(len(paired)) / scale if len(paired) > 1 else math.inf
    difference = challenger_rmse - champion_rmse
    promote = challenger_rmse <= champion_rmse - min_improvement
    if promote:
        reason = f"a better recipe: test RMSE {challenger_rmse:.4f}, the champion's {champion_rmse:.4f}"
    else:
        reason = (
            f"the recipe of the champion stays: test RMSE {champion_rmse:.4f}, the challenger {challenger_rmse:.4f}"
        )
    return Decision(
        promote=promote,
        challenger_rmse=challenger_rmse,
        champion_rmse=champion_rmse,
        difference=difference,
        interval=(difference - margin, difference + margin),
        reason=reason,
    )
