"""`Snapshot`: ratings that were accepted, as they lie in an artifact."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mfcore.data.ratings import Ratings

__all__ = ["ITEMS", "Snapshot"]

ITEMS = "items.parquet"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Ratings that were accepted, with what is known of their items."""

    ratings: Ratings
    items: pd.DataFrame | None

    @classmethod
    def load(cls, folder: Path) -> "Snapshot":
        """Read what `Acceptance.save` wrote."""
        items = folder / ITEMS
        return cls(Ratings.load(folder), pd.read_parquet(items) if items.is_file() else None)
