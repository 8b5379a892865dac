import numpy as np
import pytest

from mfcore.metrics import rmse
from mfcore.models import PMF
from tests.contract.synthetic import synthetic_ratings


def test_dimensions_that_explain_nothing_shrink_to_nothing() -> None:
    """Two true factors, ten to learn them with; clipping to the scale may look like a third."""
    ratings, truth = synthetic_ratings()
    factors = PMF(n_factors=10, n_epochs=60).train(ratings)
    strength = np.linalg.norm(factors.user_factors, axis=0) * np.linalg.norm(factors.item_factors, axis=0)
    assert (strength > 1e-3 * strength.max()).sum() in (2, 3)
    assert rmse(factors.predict(truth.users, truth.items), truth.values) < 0.08


@pytest.mark.parametrize("priors", ["spherical", "diagonal"])
def test_adaptive_priors_forgive_a_bad_start(priors: str) -> None:
    ratings, truth = synthetic_ratings(density=0.2, noise=0.4)

    def error(**params: object) -> float:
        factors = PMF(n_factors=2, n_epochs=40, reg_user=10, reg_item=10, **params).train(ratings)
        return rmse(factors.predict(truth.users, truth.items), truth.values)

    assert error(priors=priors) < 0.9 * error(priors="fixed")


def test_behind_the_link_predictions_stay_inside_the_scale() -> None:
    ratings, truth = synthetic_ratings()
    factors = PMF(n_factors=2, link="logistic", priors="fixed", reg_user=0.5, reg_item=0.5, n_epochs=60).train(ratings)
    predictions = factors.predict(truth.users, truth.items)
    assert factors.link == "logistic"
    assert predictions.min() > 1 and predictions.max() < 5
    assert rmse(predictions, truth.values) < 0.15
