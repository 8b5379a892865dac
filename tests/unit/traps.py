"""What must never be run or read: a pickle, and arrays of objects."""

import io
import os
from typing import Any

import numpy as np


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


def npy(array: Any) -> bytes:
    """The array as a file's bytes."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
