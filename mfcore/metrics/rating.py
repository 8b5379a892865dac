"""How far predicted ratings are from true ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mae", "rmse"]


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


def _errors(predicted: NDArray[Any], actual: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(predicted, np.float64) - np.asarray(actual, np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
