import numpy as np
import pytest
from pydantic import ValidationError

from mfcore.models import ALS, BPMF, EASE, MODELS, PMF, SGD, Factors, ItemKNN, Range, Recommender
from mfcore.models.lists import top_items
from tests.contract.synthetic import make, synthetic_ratings

TUNABLE: dict[str, Recommender] = {
    "als": ALS(n_factors=3),
    "als, for lists": ALS(n_factors=3, missing_weight=0.3),
    "sgd": SGD(n_factors=3, n_epochs=5),
    "adam": SGD(n_factors=3, n_epochs=5, optimizer="adam"),
    "pmf": PMF(n_factors=3, n_epochs=5),
    "bpmf": BPMF(n_factors=3, n_epochs=25),
    "ease": EASE(n_factors=10),
    "knn": ItemKNN(n_factors=10),
}


def with_popularity(model: Recommender, weight: float) -> Recommender:
    return model.model_copy(update={"popularity_weight": weight})


@pytest.mark.parametrize("name", TUNABLE)
def test_popularity_is_an_item_bias_and_no_more(name: str) -> None:
    """Scores grow by the weight times log(1 + n), those of somebody new too; ratings stay on the scale."""
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    counts = np.bincount(ratings.items, minlength=30)
    light, heavy = (with_popularity(TUNABLE[name], weight).train(ratings) for weight in (0.1, 0.8))
    expected = 0.7 * np.log1p(counts)
    everyone = np.arange(-1, 40, dtype=np.int32)
    gain = heavy.scores(everyone) - light.scores(everyone)
    assert gain == pytest.approx(np.broadcast_to(expected, gain.shape), abs=1e-4)
    assert heavy.n_factors == light.n_factors
    new = [
        one.fold_in(ratings.items[:5], ratings.values[:5]).scores(np.zeros(1, np.int32))[0] for one in (light, heavy)
    ]
    assert new[1] - new[0] == pytest.approx(expected, abs=1e-4)
    predictions = heavy.predict(ratings.users, ratings.items)
    assert predictions.min() >= 1 and predictions.max() <= 5


@pytest.mark.parametrize("name", TUNABLE)
def test_enough_of_it_lists_the_most_popular(name: str) -> None:
    ratings, _ = synthetic_ratings(n_users=40, n_items=30)
    counts = np.bincount(ratings.items, minlength=30)
    listed, _ = top_items(with_popularity(TUNABLE[name], 1e3).train(ratings), np.arange(40, dtype=np.int32), 10)
    assert (np.diff(counts[listed]) <= 0).all()


def test_users_without_ratings_are_as_unknown() -> None:
    users, items = np.divmod(np.arange(16), 4)
    ratings = make(users[:15], items[:15], np.array([5, 1, 2, 3] * 4)[:15], (5, 5))
    factors = ALS(n_factors=2, missing_weight=0.5).train(ratings)
    listed, _ = top_items(factors, np.array([4, -1], np.int32), 5)
    assert listed[0].tolist() == listed[1].tolist() == [0, 1, 2, 3, 4]
    of_item_0 = (5 * 4 + 2 * ratings.values.mean()) / 6
    pairs = np.array([4, -1], np.int32), np.zeros(2, np.int32)
    assert factors.predict(*pairs) == pytest.approx([of_item_0] * 2, abs=1e-5)
    assert factors.predict(pairs[0], pairs[1] - 1) == pytest.approx([ratings.values.mean()] * 2, abs=1e-5)


@pytest.mark.parametrize("algorithm", [name for name, model in MODELS.items() if model.ranking_space])
def test_spaces_and_defaults_of_ranking_are_possible_on_any_scale(algorithm: str) -> None:
    from mfcore.data.ratings import Scale

    model = MODELS[algorithm]
    for scale in (Scale(1, 5, 1), Scale(-10, 10), Scale(0, 100)):
        space, defaults = model.for_ranking(scale)
        built = model(**defaults)
        for name, span in space.items():
            assert span.low <= getattr(built, name) <= span.high
            whole = model.model_fields[name].annotation is int
            for end in (span.low, span.high):
                assert getattr(model(**{name: int(end) if whole else end}), name) == end
        assert space["popularity_weight"].low == 0
    if model.elsewhere:
        return
    as_given = model(**model.ranking_defaults)
    assert as_given.train(synthetic_ratings(n_users=30, n_items=20)[0]).item_means is not None or algorithm == "knn"


def test_ranges_are_put_on_a_scale() -> None:
    from mfcore.data.ratings import Scale

    assert Range(-0.5, 0.5, unit="rating").on(Scale(-10, 10)) == Range(-20, 0)
    assert Range(0, 0.1, unit="width").on(Scale(0, 100)) == Range(0, 10)
    assert Range(1, 9, log=True).on(Scale(0, 100)) == Range(1, 9, log=True)


def test_item_means_are_kept_on_disk(tmp_path) -> None:  # type: ignore[no-untyped-def]
    factors = EASE(n_factors=5).train(synthetic_ratings(n_users=30, n_items=20)[0])
    factors.save(tmp_path)
    loaded = Factors.load(tmp_path)
    assert loaded.item_means is not None and factors.item_means is not None
    assert loaded.item_means.tobytes() == factors.item_means.tobytes()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValidationError, match="popularity_weight"):
        ALS(popularity_weight=-0.1)
