"""Ratings whose factors are known."""

import numpy as np

from mfcore.data.ratings import Ratings, Scale

SCALE = Scale(1, 5)


def synthetic_ratings(
    n_users: int = 200, n_items: int = 120, n_factors: int = 2, density: float = 0.4, noise: float = 0.1, seed: int = 0
) -> tuple[Ratings, Ratings]:
    """Observed ratings μ + b_u + b_i + x_u·y_i + noise on [1, 5], and pairs held out without noise."""
    random = np.random.default_rng(seed)
    users, items = random.normal(0, 0.7, (n_users, n_factors)), random.normal(0, 0.7, (n_items, n_factors))
    truth = 3 + random.normal(0, 0.3, (n_users, 1)) + random.normal(0, 0.3, n_items) + users @ items.T
    draw = random.random(truth.shape)
    observed, held_out = draw < density, draw > 0.9
    noisy = np.clip(truth + random.normal(0, noise, truth.shape), 1, 5)
    return _ratings(noisy, observed), _ratings(np.clip(truth, 1, 5), held_out)


def _ratings(matrix: np.ndarray, where: np.ndarray) -> Ratings:
    users, items = np.nonzero(where)
    return make(users, items, matrix[where], matrix.shape)


def make(users: object, items: object, values: object, shape: tuple[int, int], scale: Scale = SCALE) -> Ratings:
    return Ratings(
        users=np.asarray(users, np.int32),
        items=np.asarray(items, np.int32),
        values=np.asarray(values, np.float32),
        times=None,
        user_ids=np.arange(shape[0]),
        item_ids=np.arange(shape[1]),
        scale=scale,
    )
