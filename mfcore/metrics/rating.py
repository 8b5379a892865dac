"""How far predicted ratings are from true ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Scale
from mfcore.metrics.intervals import Floats, Statistic, mean, ratio

__all__ = ["calibration_bins", "calibration_edges", "mae", "rating_statistics", "rmse"]

_BINS = 10


def rmse(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
    r"""Root of the mean squared error, √(Σ (p − a)² / n), summed in float64; NaN for no ratings.

    >>> rmse(np.array([4.0, 2.0], np.float32), np.array([5.0, 3.0], np.float32))
    1.0
    """
    return float(np.sqrt(_mean(np.square(_errors(predicted, actual)))))


def mae(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
    """Mean of the absolute error, Σ |p − a| / n, summed in float64; NaN for no ratings.

    >>> mae(np.array([4.0, 1.0], np.float32), np.array([5.0, 3.0], np.float32))
    1.5
    """
    return float(_mean(np.abs(_errors(predicted, actual))))


def rating_statistics(
    users: NDArray[np.int64],
    n_users: int,
    predicted: NDArray[np.float32],
    actual: NDArray[np.float32],
    clipped: NDArray[np.bool_],
    cold: NDArray[np.bool_],
) -> dict[str, Statistic]:
    r"""The rating metrics of some predictions p of ratings a, each as sums over users.

    - `rmse` √(Σ (p − a)² / n), `mae` Σ |p − a| / n;
    - `r2` 1 − Σ (p − a)² / Σ (a − ā)², the share of the ratings' variance that is explained,
      below 0 where their mean ā would do better;
    - `mean_error` Σ (p − a) / n, above 0 where predictions are too high;
    - `user_rmse`, `user_mae`: the mean over users of each one's own, so that users count alike;
    - `clipped`: share of predictions that lay outside the scale and were moved onto its end;
    - `cold`: share of which the user, or the item, had no training rating.

    Args:
        users: (n,); position of each rating's user among the users.
        n_users: of them.
        predicted: p, (n,).
        actual: a, (n,).
        clipped: (n,).
        cold: (n,).

    >>> users, yes = np.array([0, 0, 1]), np.ones(3, bool)
    >>> p, a = np.array([4, 3, 5], np.float32), np.array([5, 3, 3], np.float32)
    >>> rating_statistics(users, 2, p, a, ~yes, yes)["user_mae"].columns.sum(axis=0)  # ½ + 2, of 2 users
    array([2.5, 2. ])
    """

    def per_user(values: NDArray[Any] | None = None) -> Floats:
        return np.bincount(users, values, n_users).astype(np.float64)

    error, a = _errors(predicted, actual), actual.astype(np.float64)
    n, squared, absolute = per_user(), per_user(np.square(error)), per_user(np.abs(error))
    some = np.maximum(n, 1)
    # About the mean of all, so that the sums below don't cancel each other out.
    a = a - (a.mean() if len(a) else 0)
    spread = np.column_stack([squared, per_user(a), per_user(np.square(a)), n])
    return {
        "rmse": Statistic(np.column_stack([squared, n]), _root),
        "mae": ratio(absolute, n),
        "r2": Statistic(spread, _explained, "no test ratings" if not len(a) else "all test ratings are the same"),
        "mean_error": ratio(per_user(error), n),
        "user_rmse": mean(np.sqrt(squared / some), n > 0),
        "user_mae": mean(absolute / some, n > 0),
        "clipped": ratio(per_user(clipped), n),
        "cold": ratio(per_user(cold), n),
    }


def calibration_edges(scale: Scale) -> Floats:
    """The ends of ten equal parts of the scale: calibration is the mean error of the predictions in each.

    >>> calibration_edges(Scale(0, 5)).tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    """
    return np.linspace(scale.minimum, scale.maximum, _BINS + 1)


def calibration_bins(predicted: NDArray[np.float32], scale: Scale) -> NDArray[np.int64]:
    """Which of those parts each prediction lies in, 0 to 9; one on an inner edge in the upper of the two.

    >>> calibration_bins(np.array([0, 0.49, 0.5, 5], np.float32), Scale(0, 5)).tolist()
    [0, 0, 1, 9]
    """
    part = np.searchsorted(calibration_edges(scale), predicted.astype(np.float64), side="right") - 1
    return np.clip(part, 0, _BINS - 1)


def _root(sums: Floats) -> Floats:
    return np.sqrt(sums[..., 0] / sums[..., 1])


def _explained(sums: Floats) -> Floats:
    squared, total, square_total, n = np.moveaxis(sums, -1, 0)
    spread = square_total - np.square(total) / n
    return np.where(spread > 1e-9 * n, 1 - squared / spread, np.nan)


def _errors(predicted: NDArray[Any], actual: NDArray[Any]) -> Floats:
    return np.asarray(predicted, np.float64) - np.asarray(actual, np.float64)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
