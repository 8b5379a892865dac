import numpy as np
import pytest

from mfcore.models import BiasOnly, ItemKNN
from tests.contract.synthetic import synthetic_ratings


def test_full_rank_is_the_formula_by_the_letter() -> None:
    ratings, _ = synthetic_ratings(n_users=40, n_items=25)
    model = ItemKNN(n_factors=25, n_neighbors=6, shrink=10)
    factors = model.train(ratings)
    biases = BiasOnly(reg_user_bias=model.reg_user_bias, reg_item_bias=model.reg_item_bias).train(ratings)
    z = np.zeros((40, 25))
    rated = np.zeros((40, 25), bool)
    rated[ratings.users, ratings.items] = True
    z[ratings.users, ratings.items] = ratings.values - biases.pair_scores(ratings.users, ratings.items)
    similar = np.zeros((25, 25))
    for i in range(25):
        for j in range(25):
            if i != j:
                common = (rated[:, i] & rated[:, j]).sum()
                cosine = z[:, i] @ z[:, j] / np.sqrt((z[:, i] @ z[:, i]) * (z[:, j] @ z[:, j]))
                similar[i, j] = max(0, common / (common + 10) * cosine)
    for i in range(25):
        similar[i, np.argsort(-similar[i])[6:]] = 0
        similar[i] /= similar[i].sum() or 1
    said = (z / np.sqrt(rated.sum(1, keepdims=True))) @ similar.T
    slope = (said[rated] @ z[rated]) / (said[rated] @ said[rated])
    users, items = np.divmod(np.arange(1000, dtype=np.int32), 25)
    expected = biases.pair_scores(users, items) + slope * said.ravel()
    assert factors.pair_scores(users, items) == pytest.approx(expected, abs=1e-4)
