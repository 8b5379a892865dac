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
        contender: whose items are interleaved with its own, as in "challenger, version 4"; None: nobody's.
        choosers: who picked more from one of the two teams, or as much from both.
        preferred: share of them who picked more from the contender's items, a tie counting half: above 0.5 the
            contender is the better one.
        preferred_low: lower end of its interval.
        preferred_high: upper end.
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
    contender: str | None = None
    choosers: int | None = None
    preferred: float | None = None
    preferred_low: float | None = None
    preferred_high: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The figures there are, by name."""
        figures = self.model_dump(exclude={"version", "contender"})
        return {name: value for name, value in figures.items() if value is not None}


def figures_of(
    version: int, lists: pd.DataFrame, factors: Factors, events: pd.DataFrame, seed: int = 0
) -> VersionFeedback:
    """Join what people did with the lists and the predictions of a version.

    Somebody was shown their list when an item of it was shown; where no event is about showing, when they
    did anything at all. What is done with items outside the list is no hit: people find much by themselves.

    Args:
        version: of the registered model.
        lists: user_id and item_id of the version's export, and the teams of interleaved lists.
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
    figures: dict[str, object] = {**_named("hit_rate", hits), **_named("rmse", errors)}
    if "team" in lists:
        picks = np.unique(_pairs(users, items, n_items)[in_list & ~shown])
        figures |= _preference(lists, _pairs(owners, listed, n_items), picks, n_items, seed)
    return VersionFeedback.model_validate(
        {"version": version, "users": len(audience), "ratings": int(rated.sum()), **figures}
    )


def _preference(
    lists: pd.DataFrame, places: NDArray[np.int64], picks: NDArray[np.int64], n_items: int, seed: int
) -> dict[str, object]:
    """Which team's items each user picked more of.

    Args:
        lists: team and team_version of each place of a list.
        places: number of the pair of user and item of each.
        picks: numbers of the pairs that were picked, each once.
        n_items: items that pairs are numbered by.
        seed: of the bootstrap.
    """
    theirs = lists["team"].to_numpy() != "champion"
    contender = lists.loc[theirs, ["team", "team_version"]].head(1).to_numpy().tolist()
    order = np.argsort(places)
    is_theirs = theirs[order][np.searchsorted(places[order], picks)]
    choosers, who = np.unique(picks // n_items, return_inverse=True)
    lead = np.bincount(who, np.where(is_theirs, 1, -1), minlength=len(choosers))
    chose = (np.sign(lead) + 1) / 2
    preferred = Bootstrap(len(chose), seed).estimate([mean(chose, np.ones(len(chose), np.bool_))])[0]
    return {
        "contender": "{}, version {}".format(*contender[0]) if contender else None,
        "choosers": len(chose),
        **_named("preferred", preferred),
    }


def _pairs(users: NDArray[np.int32], items: NDArray[np.int32], n_items: int) -> NDArray[np.int64]:
    """A number for each (user, item)."""
    return users.astype(np.int64) * n_items + items


def _named(name: str, estimate: Estimate) -> dict[str, float | None]:
    low, high = estimate.interval or (None, None)
    value = estimate.value if np.isfinite(estimate.value) else None
    return {name: value, f"{name}_low": low, f"{name}_high": high}
