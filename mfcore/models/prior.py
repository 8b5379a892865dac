"""Gaussian priors of factor rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Prior"]

_TIGHT = np.float32(1e12)
"""Precision of padding, so large that rows are zero there."""


class Prior(NamedTuple):
    """Where a side's rows [x; b] are drawn to, and how strongly: rowᵀ P row about the center.

    Attributes:
        precision: P, float32, (k + 1, k + 1), in units of the noise's precision, the bias last; infinity there leaves
            the bias out.
        center: float32, (k + 1,).
    """

    precision: NDArray[np.float32]
    center: NDArray[np.float32]

    @classmethod
    def ridge(cls, n_factors: int, reg: float, reg_bias: float = np.inf) -> "Prior":
        """The same pull to zero in each dimension but the bias's, which is left out where no pull is given."""
        diagonal = np.full(n_factors + 1, reg, np.float32)
        diagonal[-1] = reg_bias
        return cls(np.diag(diagonal), np.zeros(n_factors + 1, np.float32))

    def padded(self, size: int) -> "Prior":
        """The same prior over rows of `size`, so tight on the padding that draws of it vanish."""
        k = len(self.center) - 1
        places = np.append(np.arange(k), size)
        precision = np.eye(size + 1, dtype=np.float32) * _TIGHT
        precision[np.ix_(places, places)] = self.precision
        center = np.zeros(size + 1, np.float32)
        center[places] = self.center
        return Prior(precision, center)
