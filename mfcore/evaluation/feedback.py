"""What people did with what a version showed them: hit rate of its lists, error of its predictions."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from mfcore.data.ids import find_codes
from mfcore.metrics.intervals import Bootstrap, Estimate, mean
from mfcore.metrics.rating import rating_statistics
from mfcore.models.factors import Factors

__all__ = ["EVENTS", "VersionFeedback", "figures_of"]

EVENTS = ("shown", "clicked", "rated")
"""What can happen to an item of a list."""


class VersionFeedback(BaseModel):
    """How a version did, with 95 % intervals by a bootstrap over users; None where there is nothing to tell from.

    Attributes:
        version: of the registered model.
        users: who were shown their list.
        hit_rate: share of them who clicked or rated something in it.
        hit_rate_low: lower end of its interval.
        hit_rate_high: upper end.
        ratings: given to items that it could predict, in the list or not.
        rmse: of its predictions of those.
        rmse_low: lower end of its interval.
        rmse_high: upper end.
    """

    model_config = ConfigDict(frozen=True)

    version: int
    users: int
    hit_rate: float | None
    hit_rate_low: float | None
    hit_rate_high: float | None
    ratings: int
    rmse: float | None
    rmse_low: float | None
    rmse_high: float | None

    @property
    def metrics(self) -> dict[str, float]:
        """The figures there are, by name."""
        return {name: value for name, value in self.model_dump(exclude={"version"}).items() if value is not None}


def figures_of(
    version: int, lists: pd.DataFrame, factors: Factors, events: pd.DataFrame, seed: int = 0
) -> VersionFeedback:
    """Join what people did with the lists and the predictions of a version.

    Somebody was shown their list when an item of it was shown; where no event is about showing, when they
    did anything at all. What is done with items outside the list is no hit: people find much by themselves.

    Args:
        version: of the registered model.
        lists: user_id and item_id of the version's export.
        factors: its rating head.
        events: user_id, item_id, event (one of `EVENTS`) and rating, of the time of this version.
        seed: of the bootstrap.
    """
    users, items = find_codes(factors.user_ids, events["user_id"]), find_codes(factors.item_ids, events["item_id"])
    is_known = (users >= 0) & (items >= 0)
    event, rating = events["event"].to_numpy(), events["rating"].to_numpy(np.float32)

    n_items = len(factors.item_ids)
    owners, listed = find_codes(factors.user_ids, lists["user_id"]), find_codes(factors.item_ids, lists["item_id"])
    in_list = is_known & np.isin(_pairs(users, items, n_items), _pairs(owners, listed, n_items))
    shown = event == "shown"
    audience = np.unique(users[in_list & shown] if shown.any() else users[(users >= 0) & np.isin(users, owners)])
    hit = np.isin(audience, users[in_list & ~shown]).astype(np.float64)
    hits = Bootstrap(len(audience), seed).estimate([mean(hit, np.ones(len(audience), np.bool_))])[0]

    rated = is_known & (event == "rated") & np.isfinite(rating)
    raters, who = np.unique(users[rated], return_inverse=True)
    predicted, no = factors.predict(users[rated], items[rated]), np.zeros(rated.sum(), np.bool_)
    rmse = rating_statistics(who.astype(np.int64), len(raters), predicted, rating[rated], no, no)["rmse"]
    errors = Bootstrap(len(raters), seed).estimate([rmse])[0]
    figures = {**_named("hit_rate", hits), **_named("rmse", errors)}
    return VersionFeedback.model_validate(
        {"version": version, "users": len(audience), "ratings": int(rated.sum()), **figures}
    )


def _pairs(users: NDArray[np.int32], items: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """A number for each (user, item)."""
    return users.astype(np.int64) * n_items + items


def _named(name: str, estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.interval or (None, None)
    value = estimate.value if np.isfinite(estimate.value) else None
    return {name: value, f"{name}_low": low, f"{name}_high": high}
