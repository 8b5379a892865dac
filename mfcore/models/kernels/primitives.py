"""The trainers' hot loops: `tiles` where they can be built and compute what they should, else `plain`.

It is decided once, when this is imported.
"""

import logging
from types import ModuleType

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mfcore.models.kernels import plain
from mfcore.models.kernels.layout import LINE

__all__ = [
    "ARE_SHARED",
    "LANES",
    "NARROW",
    "ROWS",
    "is_raised",
    "make_dots",
    "make_pivots",
    "make_substitution",
    "make_tile",
    "prefetch",
    "prefetch_row",
    "raise_flag",
    "take_number",
    "visit",
]

logger = logging.getLogger(__name__)


def _choose() -> ModuleType:
    try:
        from mfcore.models.kernels import tiles  # which may fail already

        tiles.prove()
    except Exception as error:  # whatever a changed Numba or LLVM makes of it
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        logger.warning("the trainers' tiles can't be used, so that ALS, PMF, BPMF and SGD train slower: %s", reason)
        return plain
    return tiles


_chosen = _choose()
LANES: int = _chosen.LANES
ROWS: int = _chosen.ROWS
NARROW: int = _chosen.NARROW
make_tile, make_pivots, make_substitution = _chosen.make_tile, _chosen.make_pivots, _chosen.make_substitution
make_dots, prefetch, visit = _chosen.make_dots, _chosen.prefetch, _chosen.visit
take_number, raise_flag, is_raised = _chosen.take_number, _chosen.raise_flag, _chosen.is_raised
ARE_SHARED = _chosen is not plain
"""Whether several threads may use the same counter and flags."""


@njit(cache=True, inline="always")
def prefetch_row(factors: NDArray[np.float32], row: int) -> None:
    """Have a row brought near, line by line."""
    size = factors.shape[1]
    for c in range(0, size, LINE):
        prefetch(factors, np.int64(row) * size + c)
