"""How often the gate promotes a recipe that is truly worse, by simulation: at most once in twenty."""

from collections.abc import Callable

import numpy as np
import pytest

from mfcore.evaluation.gate import decide
from mfcore.metrics import Bootstrap
from mfcore.metrics.ranking import rank_statistics
from mfcore.metrics.rating import rating_statistics

pytestmark = pytest.mark.slow

N_NIGHTS = 1000
WORSE = {"a little": 0.001, "1 %": 0.01, "not at all": 0.0}
"""By how much the challenger is truly worse; one that is no worse is the hardest to refuse."""


def promoted_for_ratings(n_users: int, worse: float, random: np.random.Generator, bootstrap: Bootstrap) -> bool:
    """One night: users of different activity and difficulty, two models whose errors resemble each other."""
    n_ratings = 1 + random.geometric(0.1, n_users)
    users = np.repeat(np.arange(n_users), n_ratings)
    spread = np.exp(random.normal(0, 0.3, n_users))[users]
    shared, own, other = random.normal(size=(3, len(users)))
    errors = np.stack([0.95 * shared + 0.31 * own, (1 + worse) * (0.95 * shared + 0.31 * other)])
    actual, none = np.zeros(len(users), np.float32), np.zeros(len(users), np.bool_)
    champion, challenger = bootstrap.estimate(
        rating_statistics(users, n_users, one.astype(np.float32), actual, none, none)["rmse"] for one in errors * spread
    )
    return decide(challenger, champion).promote


def promoted_for_lists(n_users: int, worse: float, random: np.random.Generator, bootstrap: Bootstrap) -> bool:
    """The same for lists of 10: hits that mostly coincide, rarer ones of the challenger."""
    n_relevant = 1 + random.geometric(0.2, n_users)
    chance = random.beta(1, 8, n_users)[:, None] * np.ones(10)
    shared = random.random((n_users, 10)) < 0.7
    draws = random.random((3, n_users, 10))
    estimates = []
    for own, less in ((draws[1], 0.0), (draws[2], worse)):
        hits = np.where(shared, draws[0], own) < chance * (1 - less)
        hits &= hits.cumsum(axis=1) <= n_relevant[:, None]
        estimates += bootstrap.estimate([rank_statistics(hits, n_relevant, 10, "nobody")["ndcg_at_10"]])
    champion, challenger = estimates
    return decide(challenger, champion, higher_is_better=True).promote


@pytest.mark.parametrize("n_users", [5, 50, 500])
@pytest.mark.parametrize("worse", WORSE.values(), ids=WORSE)
@pytest.mark.parametrize("promoted", [promoted_for_ratings, promoted_for_lists])
def test_of_a_thousand_nights_at_most_fifty_promote_what_is_worse(
    promoted: Callable[[int, float, np.random.Generator, Bootstrap], bool], worse: float, n_users: int
) -> None:
    random, bootstrap = np.random.default_rng([n_users, round(1000 * worse)]), Bootstrap(n_users)
    found = sum(promoted(n_users, worse, random, bootstrap) for _ in range(N_NIGHTS))
    print(f"{found} of {N_NIGHTS}")
    assert found <= (0.05 * N_NIGHTS if n_users > 5 else 0)  # five users tell nothing


def test_a_recipe_that_is_truly_better_gets_through() -> None:
    random, bootstrap = np.random.default_rng(1), Bootstrap(500)
    assert sum(promoted_for_ratings(500, -0.05, random, bootstrap) for _ in range(50)) >= 45
