import pickle
from pathlib import Path

import numpy as np
import pytest

from mfcore.errors import SourceUnavailable
from mfcore.storage.arrays import load_array


def test_an_array_comes_back_bit_by_bit(tmp_path: Path) -> None:
    array = np.array([[0.1, -0.0], [1e-40, 3e38]], np.float32)
    np.save(tmp_path / "a.npy", array)
    loaded = load_array(tmp_path / "a.npy", np.float32, (2, None))
    assert loaded.dtype == np.float32 and loaded.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(3, np.float64), "holds float64[3], not float32[any, 2]"),
        (np.zeros((3, 1), np.float32), "holds float32[3, 1], not float32[any, 2]"),
        (np.full((1, 2), np.nan, np.float32), "not finite"),
        (np.full((1, 2), -np.inf, np.float32), "not finite"),
        (np.full((1, 2), "x", object), "no plain array"),
    ],
)
def test_another_array_is_refused_by_name(array: np.ndarray, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(SourceUnavailable) as caught:
        load_array(path, np.float32, (None, 2))
    assert says in str(caught.value) and str(path) in str(caught.value)


def test_what_is_no_array_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for content in (b"", pickle.dumps(print), b"PK" + bytes(40)):
        path.write_bytes(content)
        with pytest.raises(SourceUnavailable, match=r"a\.npy"):
            load_array(path, np.float32, (None,))
    np.savez(tmp_path / "b.npz", np.zeros(2, np.float32))
    (tmp_path / "b.npz").rename(path)
    with pytest.raises(SourceUnavailable, match="an archive"):
        load_array(path, np.float32, (None,))
    with pytest.raises(SourceUnavailable, match="No such file"):
        load_array(tmp_path / "none.npy", np.float32, (None,))
