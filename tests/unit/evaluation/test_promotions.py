"""How often the gate promotes a recipe that is truly worse: by simulated errors, and over a thousand nights."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from mfcore.config import EvaluationConfig, RegistrationConfig, SplitConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.data.synthetic import SyntheticRatings, synthesize
from mfcore.evaluation.candidates import Candidate, assemble
from mfcore.evaluation.gate import decide
from mfcore.evaluation.heads import HeadResult, judge
from mfcore.evaluation.rules import Facts
from mfcore.evaluation.scoring import evaluate
from mfcore.library import tune
from mfcore.metrics import Bootstrap, Evaluator
from mfcore.metrics.objective import Objective
from mfcore.metrics.ranking import rank_statistics
from mfcore.metrics.rating import rating_statistics
from mfcore.models import Recipe

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


def night(ratings: Ratings, champion: Recipe, seed: int) -> tuple[HeadResult, Recipe]:
    """Split, tune, evaluate and judge as the stages do, without their stores; the verdict, and the recipe it chose."""
    parts, config = split(ratings, SplitConfig(seed=seed)), EvaluationConfig(max_baseline_items=0)
    # Few epochs of random recipes: so challengers are of all kinds, worse ones most of all.
    budget = TuningConfig(n_trials=2, max_epochs=4, sampler="random", pruner="none", validation="single", seed=seed)
    tuned = tune("als", ratings, parts, budget)
    found = {tuned.metric_name: tuned.value}
    finalist = Candidate(
        name="als", role="finalist", objectives=(Objective.RATING,), recipe=tuned.recipe, validation=found
    )
    candidates = assemble([finalist], {Objective.RATING: champion}, ratings.n_items, config)
    scored = {one.score.candidate.name: one for one in evaluate(candidates, Evaluator(ratings, parts, None, config))}
    estimates = {name: one.estimates for name, one in scored.items()}
    facts = {name: Facts.of(one.factors, one.predictions) for name, one in scored.items()}
    head = judge(Objective.RATING, candidates, estimates, facts, 10, champion, RegistrationConfig())
    assert head is not None
    return head, next(one.recipe for one in candidates if one.name == head.chosen)


def true_error(recipe: Recipe, ratings: Ratings, truth: SyntheticRatings) -> float:
    """RMSE beside the ratings without their noise, of every pair of the night's users and items."""
    factors = recipe.build().train(ratings)
    users, items = np.divmod(np.arange(len(factors.user_ids) * len(factors.item_ids)), len(factors.item_ids))
    u, i = factors.user_ids[users] - 1, factors.item_ids[items] - 1
    expected = truth.global_mean + truth.user_bias[u] + truth.item_bias[i]
    expected += np.einsum("nk,nk->n", truth.user_factors[u], truth.item_factors[i])
    expected = expected.clip(truth.scale.minimum, truth.scale.maximum)
    predicted = factors.predict(users.astype(np.int32), items.astype(np.int32))
    return float(np.sqrt(np.mean((predicted - expected) ** 2)))


@pytest.mark.timeout(3600)
def test_over_a_thousand_nights_no_worse_recipe_is_promoted_beyond_chance() -> None:
    """Each night knows a few ratings more; where a champion is replaced, the truth says which recipe is better."""
    truth = synthesize(150, 60, 7000)
    frame = truth.frame.sample(frac=1, random_state=0)
    champion = Recipe(algorithm="als", params={"n_factors": 2, "n_epochs": 1})  # there is much to gain
    n_compared, gains = 0, []
    for number in range(N_NIGHTS):
        ratings = Ratings.from_frame(frame.head(2000 + 5 * number), truth.scale)
        head, chosen = night(ratings, champion, number)
        n_compared += bool(head.decision.difference)  # none, or 0 where the challenger is the very same recipe
        if head.status == "promoted":
            gains.append(true_error(champion, ratings, truth) - true_error(chosen, ratings, truth))
        champion = chosen
    worse = sum(gain < 0 for gain in gains)
    print(f"{N_NIGHTS} nights, {n_compared} with a challenger: {len(gains)} promotions, {worse} of a worse recipe")
    # The interval is of 95 %: of equal recipes one in forty would be promoted.
    assert worse <= binom.ppf(0.999, n_compared, 0.025)
    assert len(gains) > 0 and np.mean(gains) > 0
