"""Ratings with true factors, of any size: what a factorization should find again."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ratings import Scale
from mfcore.errors import UsageError, counted

__all__ = ["SyntheticRatings", "synthesize"]

_CHUNK = 1 << 18
_FIRST_TIME, _LAST_TIME = 1_420_070_400, 1_577_836_800
"""Times lie between the beginnings of 2015 and 2020."""


@dataclass(frozen=True, eq=False)
class SyntheticRatings:
    """Synthetic ratings and what they were made from.

    Attributes:
        frame: user_id, item_id (int64, from 1), rating (float64), timestamp (int64); ordered by user and item.
        scale: the rating scale.
        global_mean: μ.
        user_bias: float32, (n_users,); of user_id − 1.
        item_bias: float32, (n_items,).
        user_factors: float32, (n_users, k).
        item_factors: float32, (n_items, k).
        noise: standard deviation of what no model can predict, before rounding.
    """

    frame: pd.DataFrame
    scale: Scale
    global_mean: float
    user_bias: NDArray[np.float32]
    item_bias: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    noise: float


def synthesize(
    n_users: int,
    n_items: int,
    n_ratings: int,
    seed: int = 0,
    *,
    n_factors: int = 8,
    noise: float = 0.15,
    scale: Scale | None = None,
) -> SyntheticRatings:
    r"""Synthesize ratings r(u, i) = round(μ + b_u + b_i + x_u · y_i + ε), clipped to the scale.

    In units of the scale's width w: μ is 0.62 w above the minimum, b_u ~ N(0, (0.10 w)²),
    b_i ~ N(0, (0.12 w)²), x_u · y_i has standard deviation 0.15 w and ε is N(0, (noise · w)²).
    Items are rated as often as a Zipf–Mandelbrot law says, (rank + 30)^−1; users' activity is
    log-normal. Each pair occurs once. Where there are enough ratings, each user and each item
    has one at least. The same arguments give the same bits.

    Args:
        n_users: users.
        n_items: items.
        n_ratings: distinct (user, item) pairs, at most n_users · n_items.
        seed: of everything random.
        n_factors: true factors k.
        noise: standard deviation of ε as a share of the scale's width.
        scale: the rating scale; 1 to 5 in steps of 1 if not given.

    Raises:
        UsageError: numbers that don't fit together.

    >>> synthetic = synthesize(30, 20, 200, seed=1)
    >>> len(synthetic.frame), synthetic.frame.duplicated(["user_id", "item_id"]).any().item()
    (200, False)
    """
    if n_users < 1 or n_items < 1 or n_ratings < 1:
        raise UsageError(
            f"synthetic ratings need a user, an item and a rating, not {n_users:,}, {n_items:,}, {n_ratings:,}."
        )
    if n_ratings > n_users * n_items:
        raise UsageError(
            f"{counted(n_ratings, 'rating')} don't fit into {counted(n_users, 'user')} × {counted(n_items, 'item')}: "
            "ask for fewer."
        )
    if max(n_users, n_items) >= 2**31:
        raise UsageError("synthetic ratings are made for at most 2³¹ − 1 users and items.")
    scale = scale or Scale(1, 5, 1)
    rng = np.random.default_rng(seed)
    keys = _pairs(rng, n_users, n_items, n_ratings)
    users, items = np.divmod(keys, n_items)
    width = scale.width
    global_mean = scale.minimum + 0.62 * width
    user_bias = (0.10 * width * rng.standard_normal(n_users)).astype(np.float32)
    item_bias = (0.12 * width * rng.standard_normal(n_items)).astype(np.float32)
    # A product of two unit normals has variance 1, so the dot product's is k · s⁴.
    factor_sd = np.sqrt(0.15 * width / np.sqrt(n_factors))
    user_factors = (factor_sd * rng.standard_normal((n_users, n_factors))).astype(np.float32)
    item_factors = (factor_sd * rng.standard_normal((n_items, n_factors))).astype(np.float32)
    values = np.empty(n_ratings)
    for start in range(0, n_ratings, _CHUNK):
        part = slice(start, start + _CHUNK)
        u, i = users[part], items[part]
        values[part] = np.einsum("nk,nk->n", user_factors[u], item_factors[i])
        values[part] += global_mean + user_bias[u] + item_bias[i]
        values[part] += noise * width * rng.standard_normal(len(u))
    if scale.step is not None:
        values = scale.minimum + scale.step * np.rint((values - scale.minimum) / scale.step)
    frame = pd.DataFrame(
        {
            "user_id": users + 1,
            "item_id": items + 1,
            "rating": np.clip(values, scale.minimum, scale.maximum),
            "timestamp": rng.integers(_FIRST_TIME, _LAST_TIME, n_ratings),
        },
        copy=False,
    )
    return SyntheticRatings(frame, scale, global_mean, user_bias, item_bias, user_factors, item_factors, noise * width)


def _pairs(rng: np.random.Generator, n_users: int, n_items: int, n_ratings: int) -> NDArray[np.int64]:
    """Distinct cells of the matrix, as user · n_items + item, ascending."""
    activity = np.exp(rng.standard_normal(n_users))
    popularity = 1 / (np.arange(n_items) + 30.0)
    rng.shuffle(popularity)
    longer = max(n_users, n_items)
    everybody = rng.permutation(longer) % n_users * n_items + rng.permutation(longer) % n_items
    # The longer side takes each value once, so these are distinct and leave nobody out.
    chosen = np.sort(everybody) if n_ratings >= longer else np.empty(0, np.int64)
    draw = _dense if n_ratings * 4 > n_users * n_items else _sparse
    return draw(rng, activity, popularity, chosen, n_ratings)


def _dense(
    rng: np.random.Generator,
    activity: NDArray[np.float64],
    popularity: NDArray[np.float64],
    chosen: NDArray[np.int64],
    n_ratings: int,
) -> NDArray[np.int64]:
    """The cells with the highest log-weight plus Gumbel noise: a weighted draw without replacement."""
    scores = np.add.outer(np.log(activity), np.log(popularity)).ravel()
    scores += rng.gumbel(size=len(scores))
    scores[chosen] = np.inf
    return np.sort(np.argpartition(-scores, n_ratings - 1)[:n_ratings]).astype(np.int64)


def _sparse(
    rng: np.random.Generator,
    activity: NDArray[np.float64],
    popularity: NDArray[np.float64],
    chosen: NDArray[np.int64],
    n_ratings: int,
) -> NDArray[np.int64]:
    """Draw cells with replacement and drop repetitions until there are enough."""
    n_items = len(popularity)
    user_shares = activity / activity.sum()
    item_ends = np.cumsum(popularity)
    while len(chosen) < n_ratings:
        missing = n_ratings - len(chosen)
        per_user = rng.multinomial(missing + missing // 4 + 16, user_shares)
        users = np.repeat(np.arange(len(activity)), per_user)
        items = np.searchsorted(item_ends, rng.random(len(users)) * item_ends[-1], side="right")
        drawn = users * n_items + np.minimum(items, n_items - 1)
        merged = _distinct(np.concatenate([chosen, drawn]))
        surplus = len(merged) - n_ratings
        if surplus > 0:
            fresh = np.delete(np.arange(len(merged)), np.searchsorted(merged, chosen))
            merged = np.delete(merged, rng.choice(fresh, surplus, replace=False))
        chosen = merged
    return chosen


def _distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct `keys`, ascending; np.unique hashes, which takes five times as long here."""
    keys.sort()
    is_new = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return np.asarray(keys[is_new])
