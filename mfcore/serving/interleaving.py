"""Interleaved lists: two versions take turns in each list, and what people pick from it tells which is better."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from mfcore.data.ids import find_codes
from mfcore.models.model import Model

__all__ = ["Contender", "interleaved", "team_draft"]


@dataclass(frozen=True, eq=False)
class Contender:
    """The version whose items are mixed into the champion's lists.

    Attributes:
        role: its alias, the name of its team.
        version: its number.
        model: what makes its lists.
    """

    role: str
    version: int
    model: Model


def team_draft(first: Sequence[int], second: Sequence[int], k: int, seed: str) -> tuple[list[int], list[int]]:
    """Interleave two lists by team draft: in each round a coin says which team picks its best item left first.

    Neither team has the better places on average, so that whose items people pick is a fair comparison [1].

    [1] F. Radlinski, M. Kurup, T. Joachims: How Does Clickthrough Data Reflect Retrieval Quality? CIKM 2008.

    Args:
        first: items of team 0, the best one first.
        second: items of team 1.
        k: length of the list.
        seed: of the coin; the same gives the same list.

    Returns:
        Items, and the team of each; fewer than `k` where both teams run out.

    >>> team_draft([1, 2, 3], [1, 4, 5], 4, "a user")
    ([1, 4, 2, 5], [0, 1, 0, 1])
    """
    coin = hashlib.sha256(seed.encode()).digest()
    items: list[int] = []
    teams: list[int] = []
    taken: set[int] = set()
    left = [iter(first), iter(second)]
    while len(items) < k:
        turn, is_second = divmod(len(items), 2)
        # The second of a round is the other one of who was first.
        picks = 1 - teams[-1] if is_second else coin[turn // 8 % len(coin)] >> turn % 8 & 1
        for team in (picks, 1 - picks):
            item = next((candidate for candidate in left[team] if candidate not in taken), None)
            if item is not None:
                break
        else:
            break
        taken.add(item)
        items.append(item)
        teams.append(team)
    return items, teams


def interleaved(
    model: Model, contender: Contender, user_ids: ArrayLike, k: int, *, version: int, n_reasons: int, **filters: Any
) -> pd.DataFrame:
    """Lists as `Model.recommend` makes them, with each item's team, and that team's version, beside it.

    Scores, predicted ratings and reasons are those of `model` for all items. What `model` does not know,
    and what the user has rated by its knowledge, is not taken from the contender's lists.

    Args:
        model: the champion.
        contender: what it is compared with.
        user_ids: whom to make lists for; users of the champion.
        k: length of a list.
        version: the champion's.
        n_reasons: as in `Model.recommend`.
        filters: the same.

    Returns:
        The columns of `Model.recommend`, team and team_version.
    """
    users = find_codes(model.user_ids, np.asarray(user_ids))
    starts = model.rated.starts
    most_rated = int((starts[users + 1] - starts[users]).max(initial=0))
    ours = _lists(model, model, user_ids, k, filters)
    # Of ratings that the contender was not trained on it does not know that they were given.
    theirs = _lists(model, contender.model, user_ids, k + most_rated, filters)
    items = np.full((len(users), k), -1, np.int32)
    teams = np.full((len(users), k), -1, np.int8)
    for row, (user, user_id) in enumerate(zip(users, np.asarray(user_ids), strict=True)):
        rated = set(model.rated.items[starts[user] : starts[user + 1]].tolist())
        unrated = [item for item in theirs[row] if item not in rated]
        picked, by = team_draft(ours[row], unrated, k, f"{version} {contender.version} {user_id}")
        items[row, : len(picked)], teams[row, : len(by)] = picked, by
    frame = pd.DataFrame(model.columns_of(user_ids, items, n_reasons))
    team = teams[items >= 0]
    return frame.assign(
        team=np.array(["champion", contender.role], object)[team],
        team_version=np.array([version, contender.version], np.int64)[team],
    )


def _lists(known_by: Model, model: Model, user_ids: ArrayLike, k: int, filters: dict[str, Any]) -> list[list[int]]:
    """A model's list for each user, in item codes of another one, without what that does not know."""
    lists = model.lists_for(user_ids, k, **filters)
    codes = find_codes(known_by.item_ids, lists["item_id"])
    starts = np.flatnonzero(lists["rank"] == 1)
    by_user = dict(zip(lists["user_id"][starts].tolist(), np.split(codes, starts[1:]), strict=True))
    return [[code for code in by_user.get(user, ()) if code >= 0] for user in np.asarray(user_ids).tolist()]
