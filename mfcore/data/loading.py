"""`load` and `load_snapshot`: a data set by name, a path or a data frame, read and checked as the stages do it."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mfcore.config import PipelineConfig, ValidationConfig
from mfcore.data import readers, sources
from mfcore.data.acceptance import accept
from mfcore.data.catalog import resolve
from mfcore.data.ratings import Ratings, titles_of
from mfcore.data.snapshot import Snapshot
from mfcore.errors import DataInvalid, first_line
from mfcore.settings import Settings
from mfcore.storage.files import scratch_folder

__all__ = ["load", "load_snapshot"]

_OF_A_FRAME = PipelineConfig(
    validation=ValidationConfig(min_ratings=1, min_users=1, min_items=1, max_user_share=1, max_item_share=1)
)
"""A data frame at hand may be as small as one likes; the sizes are asked of what a night depends on."""


def load(data: str | Path | pd.DataFrame, config: PipelineConfig | None = None) -> Ratings:
    """Read and check ratings; rows that fail a check are left out, and a table that fails is refused.

    Args:
        data: the name of a data set that `mfcore datasets` lists, a path to ratings, `synthetic:users=…,items=…,
            ratings=…`, or a data frame with the columns user_id, item_id and rating, and a timestamp if there is one.
        config: names of columns, the rating scale, and what is asked of the data. By default that is what a
            run asks, except that a data frame may be of any size.

    Returns:
        The ratings, with titles where the source has them.

    Raises:
        DataInvalid: it holds no ratings, or too many fail the checks.
        SourceUnavailable: the files are not available.
        UsageError: no such data set.

    >>> load("synthetic:users=30,items=20,ratings=300")
    Ratings(300 of 30 users on 20 items, 1 to 5)
    """
    return load_snapshot(data, config).ratings


def load_snapshot(data: str | Path | pd.DataFrame, config: PipelineConfig | None = None) -> Snapshot:
    """What `load` gives, and the table of items beside it: titles, genres or texts, as far as the source has them.

    >>> load_snapshot("synthetic:users=30,items=20,ratings=300").items is None
    True
    """
    config = config or (_OF_A_FRAME if isinstance(data, pd.DataFrame) else PipelineConfig())
    with scratch_folder() as folder:
        if isinstance(data, pd.DataFrame):
            _write(data, folder / "ratings.parquet")
            details = {"origin": "the data frame", "format": readers.recognize(folder)}
        else:
            dataset = resolve(config.dataset.model_copy(update={"name": str(data)}))
            details = sources.fetch(dataset, folder, Settings.read().home / "downloads")
        acceptance = accept(readers.read(folder, details, config.dataset), config, None)
    if acceptance.problems:
        raise DataInvalid(f"{'; '.join(acceptance.problems)}.")
    snapshot = acceptance.snapshot
    if snapshot.items is None or "title" not in snapshot.items:
        return snapshot
    titles = titles_of(snapshot.ratings.item_ids, snapshot.items)
    return replace(snapshot, ratings=replace(snapshot.ratings, titles=titles))


def _write(frame: pd.DataFrame, path: Path) -> None:
    """Hand a data frame to the reader of files, so that there is one rule for columns, ids and times."""
    try:
        frame.to_parquet(path, index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataInvalid(f"the data frame cannot be read: {first_line(error)}.") from error
