"""`Audience`: users whose pages a report has, each with history, held-out likes and list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.config import ListsConfig, PipelineConfig
from mfcore.data.ratings import Ratings, find_codes
from mfcore.data.splitting import Split
from mfcore.errors import UsageError, listed
from mfcore.metrics.ranking import relevant_threshold
from mfcore.models.model import Model
from mfcore.models.reasons import ratings_of
from mfcore.report.contents import Entry, HeldOut, Person
from mfcore.report.items import item_of
from mfcore.serving.filters import filters_of

__all__ = ["Audience"]

_N_USERS = 6
_LENGTH = 20
"""Of lists, and of what is shown of a history."""
_N_REASONS = 2


@dataclass(frozen=True, eq=False)
class Audience:
    """Users, and who of them can show what lists are worth.

    Attributes:
        lists: what is asked of lists.
        ratings: all of them.
        n_known: int64, (n_users,); how many ratings of each the model learns from.
        likes: test ratings of what was liked.
    """

    lists: ListsConfig
    ratings: Ratings
    n_known: NDArray[np.int64]
    likes: Ratings

    @classmethod
    def of(cls, ratings: Ratings, parts: Split, config: PipelineConfig) -> "Audience":
        """Of the ratings of a split, by what counts as liked there."""
        least = relevant_threshold(ratings.scale, config.evaluation.relevant_from)
        n_known = np.bincount(ratings.users[parts.known], minlength=ratings.n_users)
        liked = parts.test[ratings.values[parts.test] >= least]
        return cls(config.lists, ratings, n_known, ratings.take(liked))

    def chosen(self, user_ids: Sequence[str], seed: int) -> NDArray[np.int32]:
        """Codes of whoever is named, or of six with test likes, one of each sixth by length of history.

        Raises:
            UsageError: a user nobody knows.
        """
        if user_ids:
            codes = find_codes(self.ratings.user_ids, list(dict.fromkeys(user_ids)))
            if (codes < 0).any():
                unknown = listed(
                    user_id for user_id, code in zip(dict.fromkeys(user_ids), codes, strict=True) if code < 0
                )
                first, last = self.ratings.user_ids[0], self.ratings.user_ids[-1]
                raise UsageError(
                    f"unknown user {unknown}: there are {self.ratings.n_users:,}, {first} to {last} among them."
                )
            return codes
        able = np.unique(self.likes.users)
        able = able[np.argsort(self.n_known[able], kind="stable")]
        rng = np.random.default_rng(seed)
        sixths = [some for some in np.array_split(able, _N_USERS) if len(some)]
        return np.array([rng.choice(some) for some in sixths], np.int32)

    def people(self, model: Model, users: NDArray[np.int32]) -> list[Person]:
        """Each user with history, held-out likes and list."""
        filters = filters_of(self.lists)
        ids = self.ratings.user_ids[users]
        length = min(_LENGTH, self.ratings.n_items)
        lists = model.recommend(ids, length, n_reasons=_N_REASONS, **filters)
        return [self._person(model, int(user), lists[lists["user_id"] == id_], filters)
                for user, id_ in zip(users, ids, strict=True)]  # fmt: skip

    def _person(self, model: Model, user: int, shown: pd.DataFrame, filters: dict[str, Any]) -> Person:
        items, values = ratings_of(model.rated, user)
        best = np.argsort(-values, kind="stable")[:_LENGTH]
        all_of_it = model.recommend([self.ratings.user_ids[user]], self.ratings.n_items, **filters)
        ranks = dict(zip(find_codes(model.item_ids, all_of_it["item_id"]).tolist(), all_of_it["rank"], strict=True))
        own = self.likes.users == user
        liked = dict(zip(self.likes.items[own].tolist(), self.likes.values[own].tolist(), strict=True))
        held_out = [HeldOut(item_of(model, code), value, ranks.get(code)) for code, value in liked.items()]
        codes = find_codes(model.item_ids, shown["item_id"]).tolist()
        entries = [
            Entry(
                item=item_of(model, code),
                rank=int(row["rank"]),
                score=float(row["score"]),
                predicted=float(row["predicted_rating"]),
                is_hit=code in liked,
                because=[str(row[f"because_title_{n}"]) for n in range(1, _N_REASONS + 1) if row[f"because_title_{n}"]],
            )
            for code, row in zip(codes, shown.to_dict("records"), strict=True)
        ]
        return Person(
            user_id=str(self.ratings.user_ids[user]),
            n_rated=len(items),
            rated=[(item_of(model, int(items[place])), float(values[place])) for place in best],
            liked=sorted(held_out, key=lambda like: (like.rank is None, like.rank)),
            listed=entries,
        )
