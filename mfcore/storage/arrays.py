"""Arrays in files: read without unpickling, and checked where they enter."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mfcore.errors import SourceUnavailable, first_line

__all__ = ["load_array"]


def load_array(
    path: Path, dtype: DTypeLike, shape: tuple[int | None, ...], *, finite: bool = True, mapped: bool = False
) -> NDArray[Any]:
    """Read a `.npy` file that holds what it should; nothing in it is run.

    Args:
        path: the file.
        dtype: of the array.
        shape: of the array; None stands for any length.
        finite: whether infinity is refused; NaN always is.
        mapped: whether the array stays on disk, so that processes that read it share the memory.

    Raises:
        SourceUnavailable: the file is missing or no array, or the array is another one.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "bias.npy"
    >>> np.save(path, np.ones(3, np.float32))
    >>> load_array(path, np.float32, (None,)).tolist()
    [1.0, 1.0, 1.0]
    """
    try:
        # Mapped for writing into private copies, since arrays that can't be written are another type to Numba.
        array = np.load(path, mmap_mode="c" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        reason = first_line(error) if isinstance(error, OSError) and error.strerror else "it holds no plain array"
        raise SourceUnavailable(f"{path} can't be read: {reason}.") from error
    expected = f"{np.dtype(dtype)}[{', '.join('any' if length is None else str(length) for length in shape)}]"
    if not isinstance(array, np.ndarray) or array.dtype != dtype or len(array.shape) != len(shape):
        described = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else "an archive"
        raise SourceUnavailable(f"{path} holds {described}, not {expected}.")
    if any(want not in (None, length) for want, length in zip(shape, array.shape, strict=True)):
        raise SourceUnavailable(f"{path} holds {array.dtype}{list(array.shape)}, not {expected}.")
    if array.dtype.kind == "f" and not (np.isfinite(array) if finite else ~np.isnan(array)).all():
        raise SourceUnavailable(f"{path} holds values that are not finite.")
    return np.asarray(array)
