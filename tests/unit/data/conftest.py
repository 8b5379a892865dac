from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest

from mfcore.config import DatasetConfig
from mfcore.data.catalog import resolve
from mfcore.data.readers import Tables, read
from mfcore.data.sources import fetch


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Tables]:
    """Read a file, given by its name and content, the way a run does: fetched first, then read."""

    def load(name: str, content: str | bytes, **config: object) -> Tables:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        settings = DatasetConfig(name=str(path), **config)
        folder = Path(mkdtemp(dir=tmp_path))
        details = fetch(resolve(settings), folder, tmp_path / "downloads")
        return read(folder, details, settings)

    return load
