"""`Model`: factors with what it takes to recommend from them, as one folder in the registry."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Ids, Ratings, find_codes
from mfcore.errors import SourceUnavailable
from mfcore.models.factors import Factors
from mfcore.models.lists import similar_items, top_n
from mfcore.models.rated import RatedItems

__all__ = ["Model"]


@dataclass(frozen=True, eq=False)
class Model:
    """What the registry holds of a model.

    Attributes:
        factors: the model.
        titles: (n_items,); the title of each item code, the item's id where there is none.
        rated: what each user has rated, so that it is not recommended again.
    """

    factors: Factors
    titles: NDArray[np.object_]
    rated: RatedItems

    @classmethod
    def of(cls, factors: Factors, ratings: Ratings, items: pd.DataFrame | None) -> "Model":
        """Put together `factors`, the `ratings` they were trained on and the item table, if there is one."""
        titles = factors.item_ids.astype(str).astype(object)
        if items is not None:
            codes = find_codes(factors.item_ids, items["item_id"])
            given = (codes >= 0) & items["title"].notna().to_numpy()
            titles[codes[given]] = items["title"].to_numpy(dtype=object)[given]
        return cls(factors=factors, titles=titles, rated=RatedItems.of(ratings))

    @property
    def user_ids(self) -> Ids:
        """The id of each user code."""
        return self.factors.user_ids

    @property
    def item_ids(self) -> Ids:
        """The id of each item code."""
        return self.factors.item_ids

    def recommend(self, user_ids: Ids, k: int) -> pd.DataFrame:
        """The `k` best items that each user has not rated.

        Somebody unknown gets the items that are best for anybody.

        Returns:
            user_id, rank (from 1), item_id, score (`Factors.scores`: before clipping to the scale), title; users in the
            order given, fewer rows for one who has rated nearly everything.
        """
        items, scores = top_n(self.factors, find_codes(self.user_ids, user_ids), k, self.rated)
        return self._ranked("user_id", user_ids, items, "score", scores)

    def with_new_user(self, items: NDArray[np.int32], values: NDArray[np.float32]) -> "Model":
        """The same model over one new user, `new`, who gave `values` to the items of these codes.

        Raises:
            UsageError: a value that is not on the scale.
        """
        rated = RatedItems(starts=np.array([0, len(items)], np.int64), items=items)
        return replace(self, factors=self.factors.fold_in(items, values), rated=rated)

    def similar(self, item_ids: Ids, k: int) -> pd.DataFrame:
        """The `k` items whose factors have the greatest cosine with each given item's.

        Returns:
            item_id, rank (from 1), other_item_id, cosine, title (of the other item).
        """
        items, cosines = similar_items(self.factors, find_codes(self.item_ids, item_ids), k)
        return self._ranked("item_id", item_ids, items, "cosine", cosines)

    def _ranked(
        self, key: str, keys: Ids, items: NDArray[np.int32], measure: str, values: NDArray[np.float32]
    ) -> pd.DataFrame:
        """Padded (n, k) arrays as one row an entry."""
        filled = items >= 0
        rows, ranks = np.nonzero(filled)
        found = items[filled]
        other = "item_id" if key == "user_id" else "other_item_id"
        return pd.DataFrame(
            {
                key: np.asarray(keys)[rows],
                "rank": (ranks + 1).astype(np.int32),
                other: self.item_ids[found],
                measure: values[filled],
                "title": self.titles[found],
            }
        )

    def save(self, folder: Path) -> None:
        """Write everything into `folder`; `load` gives the same bits."""
        self.factors.save(folder)
        self.rated.save(folder)
        pd.DataFrame({"title": self.titles}).to_parquet(folder / "titles.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: a file is missing, or holds what no model has.
        """
        factors = Factors.load(folder)
        path = folder / "titles.parquet"
        try:
            titles = pd.read_parquet(path)["title"].to_numpy(dtype=object)
        except (ValueError, KeyError, OSError) as error:
            raise SourceUnavailable(f"{path} holds no titles.") from error
        if len(titles) != len(factors.item_ids):
            raise SourceUnavailable(f"{path} holds {len(titles)} titles of {len(factors.item_ids)} items.")
        rated = RatedItems.load(folder, len(factors.user_ids), len(factors.item_ids))
        return cls(factors=factors, titles=titles, rated=rated)
