import numpy as np
import pytest
from pydantic import ValidationError

from mfcore.errors import UsageError
from mfcore.metrics import rmse
from mfcore.models import ALS, BPMF, PMF, BiasOnly, Blend, Recipe
from mfcore.models.blend import blend_weights, combined
from mfcore.models.mixing import weighted_sum
from tests.contract.synthetic import make, synthetic_ratings


def test_a_weighted_sum_of_factors_has_the_weighted_scores() -> None:
    ratings, truth = synthetic_ratings()
    members = [
        ALS(n_factors=3).train(ratings),
        BiasOnly().train(ratings),
        BPMF(n_factors=2, n_epochs=30).train(ratings),
    ]
    weights = np.array([0.5, 0.2, 0.4])
    total = weighted_sum(members, weights)
    expected = sum(w * one.pair_scores(truth.users, truth.items) for w, one in zip(weights, members, strict=True))
    assert total.pair_scores(truth.users, truth.items) == pytest.approx(expected, abs=1e-4)


def test_weights_are_the_non_negative_least_squares() -> None:
    """Ratings that are a known mixture of two models' scores, and a third model of no use."""
    ratings, truth = synthetic_ratings()
    members = [ALS(n_factors=2).train(ratings), BiasOnly().train(ratings), ALS(n_factors=1, seed=3).train(ratings)]
    scores = [one.pair_scores(truth.users, truth.items) - 3 for one in members]
    mixture = make(truth.users, truth.items, 3 + 0.7 * scores[0] + 0.2 * scores[1], (200, 120))
    mixture.values[:] += 3 - mixture.values.mean()
    weights = blend_weights(members, mixture)
    assert (weights >= 0).all()
    assert weights == pytest.approx([0.7, 0.2, 0], abs=0.03)
    against = make(truth.users, truth.items, 3 - scores[0], (200, 120))
    assert (blend_weights(members, against) >= 0).all()


def test_a_blend_is_no_worse_than_its_members() -> None:
    ratings, truth = synthetic_ratings(density=0.2, noise=0.4)
    members = (PMF(n_factors=2), ALS(n_factors=8), BiasOnly())
    error = {
        model.algorithm: rmse(model.train(ratings).predict(truth.users, truth.items), truth.values)
        for model in (*members, Blend(members=members))
    }
    assert error["blend"] < 1.02 * min(error.values())


def test_members_come_as_recipes_through_json() -> None:
    params = {"members": [{"algorithm": "als", "params": {"n_factors": 3}}, {"algorithm": "bias", "params": {}}]}
    recipe = Recipe.model_validate_json(Recipe(algorithm="blend", params=params).model_dump_json())
    assert recipe.build() == Blend(members=(ALS(n_factors=3), BiasOnly()))
    with pytest.raises(UsageError, match="did you mean 'als'"):
        Recipe(algorithm="blend", params={"members": [{"algorithm": "asl"}]}).build()
    with pytest.raises(ValidationError, match="needs members"):
        Blend(members=())


def test_models_of_different_kinds_don_t_add_up() -> None:
    ratings, _ = synthetic_ratings()
    plain, linked = (PMF(n_factors=2, n_epochs=2, link=link).train(ratings) for link in ("identity", "logistic"))
    with pytest.raises(ValueError, match="links"):
        combined([plain, linked], np.array([0.5, 0.5]), 3.0)
    other = PMF(n_factors=2, n_epochs=2).train(synthetic_ratings(n_users=50)[0])
    with pytest.raises(ValueError, match="different users"):
        combined([plain, other], np.array([0.5, 0.5]), 3.0)
