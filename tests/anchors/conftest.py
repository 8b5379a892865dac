import numpy as np
import pandas as pd
import pytest

from mfcore.config import DatasetConfig
from mfcore.data import readers, sources
from mfcore.data.catalog import resolve
from mfcore.data.ratings import Ratings, Scale
from mfcore.errors import SourceUnavailable
from mfcore.settings import Settings


@pytest.fixture(scope="session")
def ml_100k(tmp_path_factory: pytest.TempPathFactory) -> Ratings:
    """MovieLens 100K, from the home folder's downloads or from where those come from."""
    folder, config = tmp_path_factory.mktemp("raw"), DatasetConfig(name="ml-100k")
    try:
        details = sources.fetch(resolve(config), folder, Settings.read().home / "downloads", progress=False)
    except SourceUnavailable as error:
        pytest.skip(f"MovieLens 100K can't be had: {error}")
    ratings = Ratings.from_frame(readers.read(folder, details, config).ratings, Scale(1, 5, 1))
    assert len(ratings) == 100_000 and ratings.n_users == 943 and ratings.n_items == 1682
    return ratings


@pytest.fixture(scope="session")
def fold_u3() -> tuple[Ratings, Ratings]:
    """The third of the five folds in the original archive, which the package index's copy lacks."""
    import zipfile

    archive = Settings.read().home / "downloads" / "ml-100k.zip"
    if not archive.is_file():
        pytest.skip(f"the original archive is not in {archive}: u3.base and u3.test can't be had")
    with zipfile.ZipFile(archive) as file:
        names = ["user_id", "item_id", "rating", "timestamp"]
        parts = [
            pd.read_csv(file.open(f"ml-100k/u3.{part}"), sep="\t", names=names).assign(part=part)
            for part in ("base", "test")
        ]
    frame = pd.concat(parts, ignore_index=True)
    both = Ratings.from_frame(frame, Scale(1, 5, 1))
    rows = [np.flatnonzero(frame["part"] == part) for part in ("base", "test")]
    return both.take(rows[0]), both.take(rows[1])
