"""`Answers`: what people ask a model, each question with bounded work, whatever door it comes in by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mfcore.config import Levers
from mfcore.errors import UsageError
from mfcore.models.model import Columns, Model

__all__ = ["MOST_RATINGS", "MOST_ROWS", "MOST_SINGLES", "Answers", "refuse_more_than"]

Several = Sequence[Any] | NDArray[Any]

MOST_ROWS = 2_000_000
"""Rows of an answer at most: some 300 MB."""
MOST_RATINGS = 10_000
"""Ratings of somebody new at most, and ids in a filter."""
MOST_SINGLES = 1_000
"""Questions at most that have to be answered one by one: for somebody new, with filters of their own, reasons."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Ratings, lists, similar items and reasons from one model, each as an array for every column.

    Every row of an answer says `known_user` and `known_item`, whether the model was trained on them, and
    `model_version`. Ratings come from the rating head, the rest from the ranking head.

    Attributes:
        model: where answers come from.
        version: its version in the registry; None where it has none.

    >>> from mfcore.models import ALS
    >>> frame = pd.DataFrame({"user_id": ["a", "a", "b"], "item_id": [7, 8, 7], "rating": [5, 1, 4]})
    >>> answers = Answers(ALS(n_factors=1).fit(frame), 3)
    >>> listed = answers.lists(["b", "zoe"], 1)
    >>> [listed[name].tolist() for name in ("user_id", "item_id", "known_user", "model_version")]
    [['b', 'zoe'], [8, 7], [True, False], [3, 3]]
    """

    model: Model
    version: int | None = None

    def for_new(self, ratings: Mapping[Any, Any]) -> "Answers":
        """The same model asked about somebody new, who gave these items (id → rating) these ratings.

        Raises:
            UsageError: an item that is not known, a rating that is none, or more than `MOST_RATINGS` of them.
        """
        if not isinstance(ratings, Mapping):
            raise UsageError(f"ratings are {_shown(ratings)}; give a mapping from item ids to ratings.")
        refuse_more_than(MOST_RATINGS, len(ratings), "ratings of somebody new")
        scale = self.model.factors.scale
        for item, rating in ratings.items():
            is_number = isinstance(rating, int | float | np.number) and not isinstance(rating, bool)
            if not (is_number and scale.minimum <= rating <= scale.maximum):
                raise UsageError(
                    f"the rating of item {_shown(item)} is {_shown(rating)}; "
                    f"give a number from {scale.minimum:g} to {scale.maximum:g}."
                )
        return replace(self, model=self.model.fold_in(ratings))

    def ratings(self, user_ids: Several, item_ids: Several) -> Columns:
        """Predicted ratings of (user, item) pairs.

        Returns:
            user_id, item_id, prediction (float64), known_user, known_item, model_version; a row for each pair.
        """
        refuse_more_than(MOST_ROWS, len(user_ids), "rows in the answer")
        pairs = self.model.pairs_for(self._who(user_ids), item_ids)
        pairs["prediction"] = pairs["prediction"].astype(np.float64)
        return self._signed({"user_id": _objects(user_ids), "item_id": _objects(item_ids), **pairs}, len(user_ids))

    def lists(
        self,
        user_ids: Several,
        k: int = 10,
        *,
        exclude_rated: bool = True,
        exclude_items: ArrayLike | None = None,
        only_items: ArrayLike | None = None,
        min_ratings: int = 0,
        levers: Levers | None = None,
    ) -> Columns:
        """The `k` best items for each user, filtered as by `Model.recommend`.

        Returns:
            The columns of `Model.recommend` and model_version.
        """
        k = self._length(k)
        refuse_more_than(MOST_ROWS, k * len(user_ids), "rows in the answer")
        if levers is not None:
            refuse_more_than(MOST_SINGLES, k * len(user_ids), "places in lists with levers")
        columns = self.model.lists_for(
            self._who(user_ids),
            k,
            exclude_rated=bool(exclude_rated),
            exclude_items=_ids("exclude_items", exclude_items),
            only_items=_ids("only_items", only_items),
            min_ratings=_whole("min_ratings", min_ratings, 0),
            levers=levers,
        )
        n = len(columns["rank"])
        if self.model.is_new:
            columns["user_id"] = np.repeat(_objects(user_ids), n // max(1, len(user_ids)))
        return self._signed(columns, n)

    def similar(self, item_ids: Several, k: int = 10) -> Columns:
        """The `k` items most alike each item; none for an unknown one.

        Returns:
            The columns of `Model.similar`, known_item and model_version.
        """
        k = self._length(k)
        refuse_more_than(MOST_ROWS, k * len(item_ids), "rows in the answer")
        columns = self.model.neighbors_of(item_ids, k)
        n = len(columns["rank"])
        return self._signed(columns | {"known_item": np.ones(n, np.bool_)}, n)

    def reasons(self, user_ids: Several, item_ids: Several, k: int = 10) -> Columns:
        """For each (user, item) pair the `k` items the user rated that bring most to the item's score.

        Returns:
            The columns of `Model.explain`, known_user, known_item and model_version; no rows for an unknown user or
            item.
        """
        k = self._length(k)
        refuse_more_than(MOST_SINGLES, len(user_ids), "reasons")
        tables = [self.model.reasons_for(None, None, k)]
        for user, item, known_as in zip(user_ids, item_ids, self._who(user_ids), strict=True):
            table = self.model.reasons_for(known_as, item, k)
            tables.append(table | {"user_id": _objects([user] * len(table["rank"]))})
        columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        n = len(columns["rank"])
        known = {"known_user": np.full(n, not self.model.is_new), "known_item": np.ones(n, np.bool_)}
        return self._signed(columns | known, n)

    def _who(self, user_ids: Several) -> Any:
        """Users as the model knows them: whatever somebody new is called, the model has only them."""
        return np.repeat(self.model.user_ids, len(user_ids)) if self.model.is_new else user_ids

    def _length(self, k: int) -> int:
        return min(_whole("k", k, 1), max(1, len(self.model.item_ids)))

    def _signed(self, columns: Columns, n: int) -> Columns:
        """The columns with whose answer it is; NaN where the model is none of the registry."""
        return columns | {"model_version": np.full(n, np.nan if self.version is None else self.version)}


def _objects(ids: Several) -> NDArray[Any]:
    """Ids as they came, as an array of no other type than theirs."""
    return ids if isinstance(ids, np.ndarray) else np.array([*ids, None], object)[:-1]


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name} is {_shown(value)}; give a whole number from {least} on.")
    return int(value)


def _ids(name: str, ids: Any) -> ArrayLike | None:
    if ids is None:
        return None
    if isinstance(ids, str | bytes) or not isinstance(ids, list | tuple | set | np.ndarray | pd.Series | pd.Index):
        raise UsageError(f"{name} is {_shown(ids)}; give a list of item ids.")
    refuse_more_than(MOST_RATINGS, len(ids), name)
    return _objects(list(ids))


def refuse_more_than(most: int, n: int, what: str) -> None:
    """Refuse a question that asks for more than is served at a time.

    Raises:
        UsageError: it is more than `most`.
    """
    if n > most:
        raise UsageError(f"{n:,} {what} are more than the {most:,} that are served at a time; ask in parts.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
