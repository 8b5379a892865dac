"""The libraries that people would otherwise pick, each behind the same two calls.

`prepare(library, ratings, k)` turns ratings into whatever the library trains on and returns
`fit(n_epochs)`, which trains anew and returns `predict(users, items)`. Nothing but `fit` is timed.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mfcore.data.ratings import Ratings
from mfcore.machine import n_cores

__all__ = ["LIBRARIES", "Fit", "Predict", "installed", "prepare"]

Predict = Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[Any]]
"""(users, items) → predicted ratings; codes as in the ratings trained on."""
Fit = Callable[[int], Predict]


def installed(library: str) -> bool:
    """Whether the library and what it needs can be imported."""
    needed = [library, "torch"] if library == "lenskit" else [library]
    return all(find_spec(name) is not None for name in needed)


def prepare(library: str, ratings: Ratings, n_factors: int) -> Fit:
    """The library's explicit-feedback factorization with `n_factors`, all else as it comes."""
    return LIBRARIES[library](ratings, n_factors)


def _cmfrec(ratings: Ratings, k: int) -> Fit:
    import cmfrec
    import scipy.sparse as sp

    shape = ratings.n_users, ratings.n_items
    matrix = sp.coo_matrix((ratings.values, (ratings.users, ratings.items)), shape=shape)

    def fit(n_epochs: int) -> Predict:
        model = cmfrec.CMF(
            k=k, lambda_=10.0, niter=n_epochs, method="als", use_cg=False, use_float=True, verbose=False,
            precompute_for_predictions=False, nthreads=n_cores(),
        ).fit(matrix)  # fmt: skip
        return lambda users, items: np.asarray(model.predict(users, items))

    return fit


def _lenskit(ratings: Ratings, k: int) -> Fit:
    import pandas as pd
    from lenskit.als import BiasedMFScorer
    from lenskit.data import ItemList, from_interactions_df

    frame = pd.DataFrame({"user_id": ratings.users, "item_id": ratings.items, "rating": ratings.values})
    data = from_interactions_df(frame)

    def fit(n_epochs: int) -> Predict:
        model = BiasedMFScorer(embedding_size=k, epochs=n_epochs)
        model.train(data)

        def predict(users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[Any]:
            scores = np.full(len(users), np.nan)
            for user in np.unique(users):
                asked = users == user
                scores[asked] = model(query=int(user), items=ItemList(item_ids=items[asked])).scores()
            return scores

        return predict

    return fit


def _implicit(ratings: Ratings, k: int) -> Fit:
    """Another problem, of the same shape: preferences weighted by confidence, over all cells."""
    import scipy.sparse as sp
    from implicit.als import AlternatingLeastSquares

    matrix = sp.coo_matrix((ratings.values, (ratings.users, ratings.items))).tocsr()

    def fit(n_epochs: int) -> Predict:
        model = AlternatingLeastSquares(
            factors=k, iterations=n_epochs, use_cg=False, num_threads=n_cores(), random_state=0
        )
        with threadpool_limits(1, "blas"):
            model.fit(matrix, show_progress=False)
        return lambda users, items: np.einsum("nk,nk->n", model.user_factors[users], model.item_factors[items])

    return fit


def _cornac(ratings: Ratings, k: int) -> Fit:
    from cornac.data import Dataset
    from cornac.models import MF

    triples = zip(ratings.users.tolist(), ratings.items.tolist(), ratings.values.tolist(), strict=True)
    data = Dataset.from_uir(list(triples))

    def fit(n_epochs: int) -> Predict:
        model = MF(k=k, max_iter=n_epochs, use_bias=True, early_stop=False, num_threads=n_cores(), seed=0).fit(data)

        def predict(users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[Any]:
            # Its own codes are in order of appearance; those it has not met have none.
            x = np.array([data.uid_map.get(user, -1) for user in users.tolist()])
            y = np.array([data.iid_map.get(item, -1) for item in items.tolist()])
            dots = np.einsum("nk,nk->n", model.u_factors[x], model.i_factors[y])
            scores = model.global_mean + model.u_biases[x] + model.i_biases[y] + dots
            return np.where((x < 0) | (y < 0), np.nan, scores)

        return predict

    return fit


def _surprise(ratings: Ratings, k: int) -> Fit:
    import pandas as pd
    from surprise import SVD, Dataset, Reader

    frame = pd.DataFrame({"user": ratings.users, "item": ratings.items, "rating": ratings.values})
    reader = Reader(rating_scale=(ratings.scale.minimum, ratings.scale.maximum))
    data = Dataset.load_from_df(frame, reader).build_full_trainset()

    def fit(n_epochs: int) -> Predict:
        model = SVD(n_factors=k, n_epochs=n_epochs, random_state=0).fit(data)
        return lambda users, items: np.array(
            [model.predict(user, item).est for user, item in zip(users.tolist(), items.tolist(), strict=True)]
        )

    return fit


LIBRARIES: dict[str, Callable[[Ratings, int], Fit]] = {
    "cmfrec": _cmfrec,
    "lenskit": _lenskit,
    "implicit": _implicit,
    "cornac": _cornac,
    "surprise": _surprise,
}
