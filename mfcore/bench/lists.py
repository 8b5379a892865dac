"""Lists: this project's models beside most popular, all of EASE and implicit's iALS, tuned alike on one split."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mfcore.bench.peers import installed
from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings
from mfcore.data.splitting import split
from mfcore.metrics.ranking import RelevantItems, rank_metrics
from mfcore.models import MODELS, MostPopular, Range
from mfcore.models.ease import item_regression
from mfcore.models.lists import top_k
from mfcore.models.rated import RatedItems

__all__ = ["ENTRANTS", "lists"]

Scores = Callable[[NDArray[np.int32]], NDArray[np.float32]]
"""Users by code → scores of all items, (len(users), n_items)."""
Params = dict[str, Any]
Fits = Iterator[Scores]
"""The same fit after one epoch, two, …; just one where epochs mean nothing."""

_K = 10
_PATIENCE = 3
_USERS = 1024
"""Users whose scores are held at a time."""


class Entrant(NamedTuple):
    """What competes.

    Attributes:
        train: (ratings, hyper-parameters) → the fit, epoch by epoch.
        space: what is searched.
        first: hyper-parameters tried first, those that are not searched included.
        max_epochs: epochs at most.
    """

    train: Callable[[Ratings, Params], Fits]
    space: Mapping[str, Range]
    first: Params
    max_epochs: int


def lists(
    data: Mapping[str, Ratings],
    n_trials: int = 20,
    seed: int = 0,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """NDCG, recall and coverage of lists of ten on test, each entrant tuned on validation, all on the same split.

    Every entrant has the same number of trials, its defaults first and then points drawn at random
    from its space, and takes its best epoch. The best trial is trained again on train and
    validation. Lists are over the whole catalog without rated items; liked are the upper 40 % of the scale.

    Args:
        data: ratings by name.
        n_trials: trials of each entrant.
        seed: of the split and of what is tried.
        tell: gets a line for each entrant.

    Returns:
        {"lists": [{"data", "entrant", "ndcg_at_10", "recall_at_10", "coverage_at_10", "validation_ndcg_at_10",
        "params", "n_epochs", "seconds"}, …], "missing": [library, …]}; seconds are those of the last training.
    """
    table = []
    for name, ratings in data.items():
        parts = split(ratings, SplitConfig(seed=seed))
        train, validation, known, test = (
            ratings.take(rows) for rows in (parts.train, parts.validation, parts.known, parts.test)
        )
        for entrant, (train_on, space, first, max_epochs) in _entrants(ratings).items():
            best: tuple[float, int, Params] = (-1.0, 1, {})
            for params in _points(space, first, n_trials if space else 1, seed):
                value, epoch = _best_epoch(train_on(train, params), max_epochs, train, validation)
                best = max(best, (value, epoch, params), key=lambda trial: trial[0])
            start = time.perf_counter()
            for _, scores in zip(range(best[1]), train_on(known, best[2]), strict=False):
                last = scores
            seconds = time.perf_counter() - start
            figures = _measure(last, known, test)
            tell(f"{name} {entrant}: {figures}")
            table.append(
                {
                    "data": name,
                    "entrant": entrant,
                    **figures,
                    "validation_ndcg_at_10": best[0],
                    "params": best[2],
                    "n_epochs": best[1],
                    "seconds": seconds,
                }
            )
    return {"lists": table, "missing": [] if installed("implicit") else ["implicit"]}


def _entrants(ratings: Ratings) -> dict[str, Entrant]:
    entrants = {"most popular": Entrant(lambda train, _: iter([MostPopular().train(train).scores]), {}, {}, 1)}
    entrants["EASE, full"] = Entrant(_full_ease, {"reg": Range(100, 20_000, log=True)}, {"reg": 2000.0}, 1)
    if installed("implicit"):
        entrants["implicit iALS"] = Entrant(
            _implicit,
            {
                "factors": Range(12, 128, log=True),
                "regularization": Range(0.01, 100, log=True),
                "alpha": Range(1, 100, log=True),
            },
            {"factors": 64, "regularization": 10.0, "alpha": 10.0},
            15,
        )
    for label, (algorithm, max_epochs) in ENTRANTS.items():
        space, own = MODELS[algorithm].for_ranking(ratings.scale)
        first = {**MODELS[algorithm]().model_dump(include=set(space)), **own}
        entrants[label] = Entrant(_own(algorithm), space, first, max_epochs)
    return entrants


ENTRANTS = {"mfcore als": ("als", 15), "mfcore sgd": ("sgd", 40), "mfcore pmf": ("pmf", 15), "mfcore ease": ("ease", 1)}
"""This project's entrants: algorithm, and epochs at most."""


def _points(space: Mapping[str, Range], first: Params, n_trials: int, seed: int) -> Iterator[Params]:
    """The first point, then others drawn at random; whole numbers where the first one has such."""
    random = np.random.default_rng(seed)
    yield first
    for _ in range(n_trials - 1):
        drawn: Params = {}
        for name, span in space.items():
            low, high = (np.log(span.low), np.log(span.high)) if span.log else (span.low, span.high)
            value = float(random.uniform(low, high))
            value = float(np.exp(value)) if span.log else value
            drawn[name] = round(value) if isinstance(first.get(name), int) else value
        yield {**first, **drawn}


def _best_epoch(fits: Fits, max_epochs: int, known: Ratings, held_out: Ratings) -> tuple[float, int]:
    """The largest NDCG and its epoch, over until it has not grown for a while."""
    best, best_epoch = -1.0, 1
    for epoch, scores in zip(range(1, max_epochs + 1), fits, strict=False):
        value = _measure(scores, known, held_out)["ndcg_at_10"]
        if value > best:
            best, best_epoch = value, epoch
        elif epoch - best_epoch >= _PATIENCE:
            break
    return best, best_epoch


def _measure(scores: Scores, known: Ratings, held_out: Ratings) -> dict[str, float]:
    users, rated = np.arange(known.n_users, dtype=np.int32), RatedItems.of(known)
    listed = np.concatenate(
        [
            top_k(np.ascontiguousarray(scores(some), np.float32), *rated.rows(some), _K)[0]
            for some in np.split(users, range(_USERS, len(users), _USERS))
        ]
    )
    relevant = RelevantItems.of(held_out)
    counts = relevant.counts(users)
    metrics = rank_metrics(relevant.hits(users, listed), counts, _K)
    return {
        "ndcg_at_10": float(metrics["ndcg"][counts > 0].mean()),
        "recall_at_10": float(metrics["recall"][counts > 0].mean()),
        "coverage_at_10": len(np.unique(listed[listed >= 0])) / known.n_items,
    }


def _own(algorithm: str) -> Callable[[Ratings, Params], Fits]:
    def train(ratings: Ratings, params: Params) -> Fits:
        training = MODELS[algorithm](**params).begin(ratings)
        while True:
            training.step()
            yield training.factors().scores

    return train


def _full_ease(ratings: Ratings, params: Params) -> Fits:
    """All of EASE's matrix, on the ratings' values above the scale's minimum less a step of a quarter of its width."""
    values = ratings.values.astype(np.float64) - ratings.scale.minimum + ratings.scale.width / 4
    shape = ratings.n_users, ratings.n_items
    users = sp.csc_array((values, (ratings.users, ratings.items)), shape=shape)
    weights, rows = item_regression(users, params["reg"] * ratings.values.var(dtype=np.float64)), users.tocsr()
    yield lambda some: rows[some] @ weights


def _products(x: NDArray[np.float32], y: NDArray[np.float32]) -> Scores:
    return lambda some: x[some] @ y.T


def _implicit(ratings: Ratings, params: Params) -> Fits:
    """Preferences for what was rated, weighted by confidence, over all pairs; ratings' values don't count."""
    from implicit.als import AlternatingLeastSquares

    shape = ratings.n_users, ratings.n_items
    ones = np.full(len(ratings), params["alpha"], np.float32)
    matrix = sp.csr_matrix((ones, (ratings.users, ratings.items)), shape=shape)
    model = AlternatingLeastSquares(
        factors=params["factors"], regularization=params["regularization"], alpha=1.0, iterations=1,
        use_cg=False, random_state=0,
    )  # fmt: skip
    while True:
        with threadpool_limits(1, "blas"):
            model.fit(matrix, show_progress=False)  # goes on from its factors
        yield _products(np.array(model.user_factors), np.array(model.item_factors))
