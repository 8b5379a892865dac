"""`Model`: two heads of factors with what it takes to recommend from them, as one folder in the registry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mfcore.config import Levers
from mfcore.data.ids import as_id
from mfcore.data.items import aligned, genres_of, meeting
from mfcore.data.ratings import Ids, Ratings, find_codes, load_titles, titles_of
from mfcore.errors import SourceUnavailable, UsageError, listed
from mfcore.models.factors import Factors
from mfcore.models.levers import ItemGroups, ranked
from mfcore.models.lists import FEWEST_RATINGS, Likeness, similar_items
from mfcore.models.rated import RatedItems
from mfcore.models.reasons import ratings_of, strongest
from mfcore.storage.arrays import load_array

__all__ = ["Columns", "Model"]

Columns = dict[str, NDArray[Any]]
"""A table as one array for each column."""

_COUNTS = "n_ratings.npy"


@dataclass(frozen=True, eq=False)
class Model:
    """What the registry holds of a model.

    Attributes:
        factors: the rating head, which predicts ratings.
        titles: (n_items,); the title of each item code, the item's id where there is none.
        rated: what each user has rated, so that it is not recommended again.
        n_ratings: int64, (n_items,); how often each item was rated.
        ranking: the ranking head, which orders lists and finds similar items; None: the rating head does.
        items: what else is known of items, a row for each code, such as genres; None: nothing.
        is_new: whether its one user was folded in and not trained on.
        neighbors: item kNN, for lists that the ranking head shares with it (`Levers.knn_share`); None: it is not kept.
    """

    factors: Factors
    titles: NDArray[np.object_]
    rated: RatedItems
    n_ratings: NDArray[np.int64]
    ranking: Factors | None = None
    items: pd.DataFrame | None = None
    is_new: bool = False
    neighbors: Factors | None = None

    @classmethod
    def of(
        cls,
        factors: Factors,
        ratings: Ratings,
        items: pd.DataFrame | None,
        ranking: Factors | None = None,
        neighbors: Factors | None = None,
    ) -> "Model":
        """Put together the heads, the `ratings` they were trained on and the item table, if there is one."""
        known = ratings.titles if items is None else None
        titles = titles_of(factors.item_ids, items) if known is None else known
        n_ratings = np.bincount(ratings.items, minlength=ratings.n_items).astype(np.int64)
        table = None if items is None else aligned(items, factors.item_ids).drop(columns="title", errors="ignore")
        return cls(factors, titles, RatedItems.of(ratings), n_ratings, ranking, table, neighbors=neighbors)

    @property
    def lists(self) -> Factors:
        """What lists are made by."""
        return self.factors if self.ranking is None else self.ranking

    @property
    def likeness(self) -> Factors:
        """What similar items are found by: what lists are made by, or the rating head where that has no factors."""
        return self.lists if self.lists.n_factors else self.factors

    @property
    def user_ids(self) -> Ids:
        """The id of each user code."""
        return self.factors.user_ids

    @property
    def item_ids(self) -> Ids:
        """The id of each item code."""
        return self.factors.item_ids

    def __repr__(self) -> str:
        heads = "one head" if self.ranking is None else "two heads"
        return f"Model({len(self.user_ids):,} users, {len(self.item_ids):,} items, {heads})"

    def predict(self, user_ids: ArrayLike, item_ids: ArrayLike) -> NDArray[np.float32]:
        """Predicted ratings of (user, item) pairs, by the rating head; always on the scale.

        For an unknown user or item, what is known of the other one counts.

        Args:
            user_ids: one id, or n of them.
            item_ids: one id, or n of them; one goes with each of n on the other side.

        Returns:
            (n,)

        >>> from mfcore.models import ALS
        >>> frame = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": [7, 8, 7], "rating": [5, 1, 4]})
        >>> ALS(n_factors=1).fit(frame).predict("a", [7, 8]).round().tolist()
        [4.0, 2.0]
        """
        predicted: NDArray[np.float32] = self.pairs_for(user_ids, item_ids)["prediction"]
        return predicted

    def pairs_for(self, user_ids: ArrayLike, item_ids: ArrayLike) -> Columns:
        """What `predict` says of pairs, and whether user and item are known, each id looked up once."""
        users, items = np.broadcast_arrays(_codes(self.user_ids, user_ids), _codes(self.item_ids, item_ids))
        return {
            "prediction": self.factors.predict(users, items),
            "known_user": (users >= 0) & (not self.is_new),
            "known_item": self._is_rated(items),
        }

    def knows(self, user_ids: ArrayLike) -> NDArray[np.bool_]:
        """Which of these users the model was trained on."""
        return (_codes(self.user_ids, user_ids) >= 0) & (not self.is_new)

    def knows_items(self, item_ids: ArrayLike) -> NDArray[np.bool_]:
        """Which of these items the model was trained on."""
        return self._is_rated(_codes(self.item_ids, item_ids))

    def _is_rated(self, items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which codes are those of items that somebody rated."""
        is_rated: NDArray[np.bool_] = items >= 0
        is_rated[is_rated] = self.n_ratings[items[is_rated]] > 0
        return is_rated

    def title(self, item_id: Any) -> str:
        """The title of a known item."""
        return str(self.titles[_codes(self.item_ids, item_id)[0]])

    def recommend(
        self,
        user_ids: ArrayLike,
        k: int = 10,
        *,
        exclude_rated: bool = True,
        exclude_items: ArrayLike | None = None,
        only_items: ArrayLike | None = None,
        min_ratings: int = 0,
        levers: Levers | None = None,
        n_reasons: int = 0,
    ) -> pd.DataFrame:
        """The `k` best items for each user; for somebody unknown, the most rated ones.

        Args:
            user_ids: whom to make lists for.
            k: length of a list; no list is longer than the catalog.
            exclude_rated: leave out what the user has rated.
            exclude_items: ids of items to leave out.
            only_items: ids of the items to choose from; None: all. Unknown ids are passed over.
            min_ratings: leave out items rated less often than this.
            levers: what else is asked of lists, as `mfcore.models.levers.ranked` makes them.
            n_reasons: how many of the user's rated items to name that bring most to each item's score, as `explain`
                has them.

        Returns:
            user_id, rank (from 1), item_id, score (of the ranking head: its order but for levers, and no rating),
            predicted_rating (of the rating head, on the scale), title, known_user, known_item (whether anybody rated
            it: else its factors are made from the table of items); users in the order given, fewer rows where items run
            out. With reasons because_1, because_title_1 and so on, the ids and titles of rated items;
            missing where no more of them speak for the item.

        Raises:
            UsageError: reasons of a model registered before ratings were kept with it, levers that ask for what the
                model or its table of items does not have, or no item that meets `min_ratings` and their conditions.
        """
        columns = self.lists_for(
            user_ids,
            k,
            exclude_rated=exclude_rated,
            exclude_items=exclude_items,
            only_items=only_items,
            min_ratings=min_ratings,
            levers=levers,
            n_reasons=n_reasons,
        )
        return pd.DataFrame(columns)

    def lists_for(
        self,
        user_ids: ArrayLike,
        k: int,
        *,
        exclude_rated: bool = True,
        exclude_items: ArrayLike | None = None,
        only_items: ArrayLike | None = None,
        min_ratings: int = 0,
        levers: Levers | None = None,
        n_reasons: int = 0,
    ) -> Columns:
        """What `recommend` makes a frame of, which for one user takes longer than all the rest."""
        ids = _several(user_ids)
        users = find_codes(self.user_ids, ids)
        k = min(k, len(self.item_ids))
        levers = levers or Levers()
        allowed = self.allowed(exclude_items, only_items, min_ratings, levers.where)
        rated = self.rated if exclude_rated else None
        groups = self._groups(levers)
        neighbors = self._neighbors_for(levers)
        items, scores = ranked(self.lists, users, k, rated, allowed, levers, groups, neighbors)
        unknown = users < 0
        if unknown.any():
            popular = ranked(self._most_popular(), users[unknown], k, None, allowed, levers, groups)
            items[unknown], scores[unknown] = popular
        return self._columns(ids, users, items, scores, n_reasons)

    def columns_of(self, user_ids: ArrayLike, items: NDArray[np.int32], n_reasons: int = 0) -> Columns:
        """What `lists_for` says of lists that are given, as item codes (n, length) in which −1 is an empty place."""
        ids = _several(user_ids)
        users = find_codes(self.user_ids, ids)
        return self._columns(ids, users, items, self.lists.list_scores(users, items), n_reasons)

    def _columns(
        self,
        ids: Sequence[Any],
        users: NDArray[np.int32],
        items: NDArray[np.int32],
        scores: NDArray[np.float32],
        n_reasons: int,
    ) -> Columns:
        rows, ranks = np.nonzero(items >= 0)
        shown = items[rows, ranks]
        columns = {
            "user_id": _as_known(self.user_ids, ids, users)[rows],
            "rank": (ranks + 1).astype(np.int32),
            "item_id": self.item_ids[shown],
            "score": scores[rows, ranks],
            "predicted_rating": self.factors.predict(users[rows], shown),
            "title": self.titles[shown],
            "known_user": (users >= 0)[rows] & (not self.is_new),
            "known_item": self.n_ratings[shown] > 0,
        }
        if n_reasons:
            reasons = strongest(self.lists, self.rated, users, items, n_reasons)[rows, ranks]
            for number, codes in enumerate(reasons.T, start=1):
                columns[f"because_{number}"] = _or_none(self.item_ids, codes)
                columns[f"because_title_{number}"] = _or_none(self.titles, codes)
        return columns

    def allowed(
        self,
        exclude_items: ArrayLike | None = None,
        only_items: ArrayLike | None = None,
        min_ratings: int = 0,
        where: Sequence[str] = (),
    ) -> NDArray[np.bool_]:
        """Which items may be listed at all, (n_items,); arguments as in `recommend`, `where` of its levers.

        Raises:
            UsageError: a condition on what the table of items does not have, or no item.
        """
        allowed = self.n_ratings >= min_ratings
        if where:
            allowed &= meeting(self._table, where)
        if not allowed.any() and len(allowed):
            asked = [*where, *([f"{min_ratings:,} ratings or more"] if min_ratings else [])]
            raise UsageError(f"none of the {len(allowed):,} items has {' and '.join(asked)}: no list is left.")
        if only_items is not None:
            allowed &= self._are_among(only_items)
        if exclude_items is not None:
            allowed &= ~self._are_among(exclude_items)
        return allowed

    @property
    def _table(self) -> pd.DataFrame:
        return pd.DataFrame(index=range(len(self.item_ids))) if self.items is None else self.items

    def _groups(self, levers: Levers) -> ItemGroups:
        """What these levers need to know of items.

        Raises:
            UsageError: there are no genres to have a share, or no draws to be cautious by.
        """
        if levers.caution and self.lists.n_draws == 1:
            raise UsageError(
                "caution needs draws from a posterior, which the model that makes lists keeps if it is BPMF."
            )
        nothing = np.zeros((len(self.item_ids), 0), np.float32)
        genres = nothing.astype(np.bool_)
        if levers.max_genre_share < 1:
            if "genres" not in self._table:
                raise UsageError("max_genre_share needs genres, but the table of items has no column 'genres'.")
            genres = genres_of(self._table["genres"])[1]
        return ItemGroups(self.n_ratings, genres, self._alike.unit if levers.diversity else nothing)

    def _neighbors_for(self, levers: Levers) -> Factors | None:
        """Item kNN where lists are shared with it.

        Raises:
            UsageError: it was not kept.
        """
        if levers.knn_share and self.neighbors is None:
            raise UsageError(
                "knn_share needs item kNN, which this version does not keep: `mfcore register` with lists.knn_share "
                "makes one that does."
            )
        return self.neighbors if levers.knn_share else None

    def _are_among(self, item_ids: ArrayLike) -> NDArray[np.bool_]:
        """Which items have one of these ids."""
        codes = _codes(self.item_ids, item_ids)
        among = np.zeros(len(self.item_ids), np.bool_)
        among[codes[codes >= 0]] = True
        return among

    def _most_popular(self) -> Factors:
        """What orders items by their number of ratings, for anybody."""
        nobody = np.zeros((1, 0), np.float32)
        return replace(
            self.lists,
            global_mean=0.0,
            item_bias=self.n_ratings.astype(np.float32),
            user_bias=np.zeros(1, np.float32),
            user_factors=nobody,
            item_factors=np.zeros((len(self.item_ids), 0), np.float32),
            user_ids=np.array(["anybody"], dtype=object),
            parts=(),
            n_draws=1,
            item_means=None,
        )

    def fold_in(self, rated: Mapping[Any, float]) -> "Model":
        """The same model over one new user, `new`, who gave these items (id → rating) these ratings; in both heads.

        Raises:
            UsageError: an item that is not known, or a rating that is not on the scale.
        """
        items = find_codes(self.item_ids, list(rated))
        if (items < 0).any():
            unknown = listed(item_id for item_id, code in zip(rated, items, strict=True) if code < 0)
            raise UsageError(f"no item has the id {unknown}: look ids up in `Model.item_ids`.")
        # Of ids that are the same item, as 7 and "7", the last value counts.
        last = dict(zip(items.tolist(), rated.values(), strict=True))
        items, values = np.array(list(last), np.int32), np.array(list(last.values()), np.float32)
        own = RatedItems(starts=np.array([0, len(items)], np.int64), items=items, values=values)
        ranking, neighbors = (head and head.fold_in(items, values) for head in (self.ranking, self.neighbors))
        factors = self.factors.fold_in(items, values)
        return replace(self, factors=factors, rated=own, ranking=ranking, is_new=True, neighbors=neighbors)

    def similar(self, item_ids: ArrayLike, k: int = 10, min_ratings: int = FEWEST_RATINGS) -> pd.DataFrame:
        """The `k` items most alike each given item: the cosine of their factors, shrunk where an item has few ratings.

        Args:
            item_ids: whose neighbors to find; an unknown item has none.
            k: number of neighbors; no more than there are items.
            min_ratings: items rated less often than this are no neighbors.

        Returns:
            item_id, rank (from 1), other_item_id, cosine, title and n_ratings (of the other item).
        """
        return pd.DataFrame(self.neighbors_of(item_ids, k, min_ratings))

    def neighbors_of(self, item_ids: ArrayLike, k: int, min_ratings: int = FEWEST_RATINGS) -> Columns:
        """What `similar` makes a frame of."""
        ids = _several(item_ids)
        codes = find_codes(self.item_ids, ids)
        k = min(k, len(self.item_ids))
        own = min_ratings != FEWEST_RATINGS
        alike = Likeness.of(self.likeness, self.n_ratings, min_ratings) if own else self._alike
        items, cosines = similar_items(alike, codes, k)
        rows, ranks = np.nonzero(items >= 0)
        shown = items[rows, ranks]
        return {
            "item_id": _as_known(self.item_ids, ids, codes)[rows],
            "rank": (ranks + 1).astype(np.int32),
            "other_item_id": self.item_ids[shown],
            "cosine": cosines[rows, ranks],
            "title": self.titles[shown],
            "n_ratings": self.n_ratings[shown],
        }

    @cached_property
    def _alike(self) -> Likeness:
        return Likeness.of(self.likeness, self.n_ratings)

    def explain(self, user_id: Any, item_id: Any, k: int = 10) -> pd.DataFrame:
        """Why an item is in a user's list: the `k` rated items that bring most to x_u · y_i of the ranking head.

        The row that `fold_in` solves for is a sum over the user's ratings (`Factors.contributions`), and the
        table shows the parts of that sum. Of somebody folded in the split is exact; of a user the model was
        trained on it is that of the row their ratings fold in to, near the trained one.

        Args:
            user_id: whose list; of an unknown user there is nothing to say.
            item_id: the item in it; the same.
            k: number of rated items.

        Returns:
            user_id, rank (from 1), item_id, rated_item_id, rating, contribution (in units of the score; below 0
            what speaks against the item), title (of the rated item).

        Raises:
            UsageError: a model registered before ratings were kept with it.
        """
        return pd.DataFrame(self.reasons_for(user_id, item_id, k))

    def reasons_for(self, user_id: Any, item_id: Any, k: int) -> Columns:
        """What `explain` makes a frame of."""
        user, item = find_codes(self.user_ids, [user_id])[0], find_codes(self.item_ids, [item_id])[0]
        items, values = ratings_of(self.rated, int(user) if item >= 0 else -1)
        brought = self.lists.contributions(items, values, np.array([item], np.int32))[0]
        best = np.argsort(-brought, kind="stable")[:k]
        return {
            "user_id": np.array([user_id] * len(best), object),
            "rank": np.arange(1, len(best) + 1, dtype=np.int32),
            "item_id": np.repeat(self.item_ids[[item]], len(best)),
            "rated_item_id": self.item_ids[items[best]],
            "rating": values[best],
            "contribution": brought[best],
            "title": self.titles[items[best]],
        }

    def save(self, folder: str | Path) -> None:
        """Write everything into `folder`; `load` gives the same bits."""
        folder = Path(folder)
        self.factors.save(folder / "rating")
        for name, head in (("ranking", self.ranking), ("neighbors", self.neighbors)):
            if head is not None:
                head.save(folder / name)
        self.rated.save(folder)
        np.save(folder / _COUNTS, self.n_ratings, allow_pickle=False)
        self._table.assign(title=self.titles).to_parquet(folder / "titles.parquet", index=False)

    @classmethod
    def load(cls, folder: str | Path) -> "Model":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: a file is missing, or holds what no model has.
        """
        folder = Path(folder)
        factors = Factors.load(folder / "rating")
        ranking, neighbors = (
            Factors.load(folder / name) if (folder / name).is_dir() else None for name in ("ranking", "neighbors")
        )
        for head in (ranking, neighbors):
            if head is not None and not (
                np.array_equal(head.user_ids, factors.user_ids) and np.array_equal(head.item_ids, factors.item_ids)
            ):
                raise SourceUnavailable(f"{folder} holds heads of different users or items.")
        path = folder / "titles.parquet"
        titles = load_titles(path, len(factors.item_ids))
        table = pd.read_parquet(path).drop(columns="title")
        rated = RatedItems.load(folder, len(factors.user_ids), len(factors.item_ids))
        n_ratings = load_array(folder / _COUNTS, np.int64, (len(factors.item_ids),))
        items = table if len(table.columns) else None
        return cls(factors, titles, rated, n_ratings, ranking, items, neighbors=neighbors)


def _several(ids: ArrayLike) -> Sequence[Any]:
    """The ids as a sequence; one id is a sequence of one, text included."""
    return [ids] if np.ndim(ids) == 0 else ids  # type: ignore[return-value]


def _codes(known: Ids, ids: ArrayLike) -> NDArray[np.int32]:
    return find_codes(known, _several(ids))


def _or_none(known: NDArray[Any], codes: NDArray[np.int32]) -> NDArray[np.object_]:
    """The ids or titles of these codes; None for code −1."""
    ids = known[codes].astype(object)
    ids[codes < 0] = None
    return ids


def _as_known(known: Ids, ids: Sequence[Any], codes: NDArray[np.int32]) -> Ids:
    """The ids of these codes as the model has them; an unknown one in the same type where it can be."""
    if (codes >= 0).all():
        return known[codes]
    return np.array(
        [known[code] if code >= 0 else as_id(known, id_) for id_, code in zip(ids, codes, strict=True)], object
    )
