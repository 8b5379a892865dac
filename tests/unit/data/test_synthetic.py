import numpy as np
import pytest

from mfcore.data.ratings import Scale
from mfcore.data.synthetic import synthesize
from mfcore.errors import UsageError


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (40, 30, 1200), (40, 30, 1100), (40, 30, 100), (500, 300, 9000), (3, 200, 50)]
)
def test_pairs_are_unique_and_inside_the_matrix(shape):
    n_users, n_items, n_ratings = shape
    frame = synthesize(*shape).frame
    assert len(frame) == n_ratings
    assert not frame.duplicated(["user_id", "item_id"]).any()
    assert frame["user_id"].between(1, n_users).all()
    assert frame["item_id"].between(1, n_items).all()
    if n_ratings >= max(n_users, n_items):
        assert frame["user_id"].nunique() == n_users
        assert frame["item_id"].nunique() == n_items


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    one, two, other = synthesize(90, 70, 2000, 3), synthesize(90, 70, 2000, 3), synthesize(90, 70, 2000, 4)
    assert one.frame.equals(two.frame)
    assert one.user_factors.tobytes() == two.user_factors.tobytes()
    assert not one.frame["rating"].equals(other.frame["rating"])


def test_ratings_are_the_synthetic_model_plus_the_noise_that_was_asked_for():
    synthetic = synthesize(400, 300, 30_000, noise=0.05, scale=Scale(-10, 10, None))
    frame = synthetic.frame
    u, i = frame["user_id"] - 1, frame["item_id"] - 1
    model = synthetic.global_mean + synthetic.user_bias[u] + synthetic.item_bias[i]
    model = model + (synthetic.user_factors[u] * synthetic.item_factors[i]).sum(axis=1)
    inside = frame["rating"].abs() < 9
    residual = (frame["rating"] - model)[inside & (np.abs(model) < 6)]
    assert residual.std() == pytest.approx(synthetic.noise, rel=0.05)
    assert abs(residual.mean()) < 0.03


def test_values_lie_on_the_scale_and_its_steps():
    values = synthesize(100, 80, 3000, scale=Scale(0.5, 5, 0.5)).frame["rating"].to_numpy()
    assert values.min() >= 0.5
    assert values.max() <= 5
    assert np.array_equal(values * 2, np.rint(values * 2))
    assert len(np.unique(values)) == 10


def test_popularity_has_a_long_tail():
    counts = synthesize(943, 1682, 100_000).frame["item_id"].value_counts()
    assert counts.iloc[:168].sum() > 0.35 * 100_000  # a tenth of the items
    assert counts.min() >= 1


@pytest.mark.parametrize(
    ("shape", "word"), [((0, 5, 1), "need a user"), ((5, 5, 26), "don't fit"), ((5, 2**31, 9), "at most 2³¹")]
)
def test_impossible_sizes_are_refused(shape, word):
    with pytest.raises(UsageError, match=word):
        synthesize(*shape)
