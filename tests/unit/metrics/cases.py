"""Small random cases that metrics are tried on."""

import numpy as np

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.splitting import Split
from mfcore.models import Factors
from tests.contract.synthetic import make

SCALE = Scale(1, 5, 1)


def random_factors(shape: tuple[int, int], seed: int, k: int = 4) -> Factors:
    random = np.random.default_rng(seed)
    return Factors(
        global_mean=3.0,
        user_bias=random.normal(size=shape[0]).astype(np.float32),
        item_bias=random.normal(size=shape[1]).astype(np.float32),
        user_factors=random.normal(size=(shape[0], k)).astype(np.float32),
        item_factors=random.normal(size=(shape[1], k)).astype(np.float32),
        user_ids=np.arange(shape[0]),
        item_ids=np.arange(shape[1]),
        scale=SCALE,
    )


def random_ratings(shape: tuple[int, int], seed: int, density: float = 0.6) -> tuple[Ratings, Split]:
    """Ratings at random, the rows of train, validation and test being drawn with 60, 10 and 30 %."""
    random = np.random.default_rng(seed)
    users, items = np.nonzero(random.random(shape) < density)
    ratings = make(users, items, random.integers(1, 6, len(users)), shape, SCALE)
    part = random.choice(3, size=len(users), p=[0.6, 0.1, 0.3])
    return ratings, Split(*(np.flatnonzero(part == which) for which in range(3)))
