"""`check_recommender`: what every algorithm promises, for whoever adds one.

In a test of your own:

    from mfcore.testing import check_recommender

    def test_contract():
        check_recommender(MyRecommender(n_factors=4))
"""

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from mfcore.data import Ratings, Scale, synthesize
from mfcore.models import MODELS, Factors, Model, Recipe, Recommender
from mfcore.storage.files import scratch_folder

__all__ = ["check_recommender", "check_sound", "same_bits"]

_ARRAYS = ("user_bias", "item_bias", "user_factors", "item_factors")
_AS_TRAINED = 0.3
"""How far a folded-in row's predictions may be from the trained row's, as a share of how far an unknown user's are.

Models that solve their users' rows last are at 0; SGD, which stops on its way, and BPMF, whose rows are means of draws,
at 0.2 at most.
"""


def check_recommender(model: Recommender) -> None:
    """Check that `model` keeps the contract of algorithms.

    It is known by its recipe; the same seed gives the same bits on any number of threads; `train` is the loop over
    `step`, which changes neither the ratings nor factors handed out before; going on for no epochs changes nothing; all
    predictions are finite and on the scale, for unknown users and items, on other scales and where there is next to
    nothing to learn from; users and items without ratings are treated as unknown ones; what is saved and loaded is the
    same to the last bit; a data frame does as well as `Ratings`; a trained user who is folded in gets nearly their
    trained predictions.

    Args:
        model: with hyper-parameters under which it trains within seconds.

    Raises:
        AssertionError: the promise that is not kept.

    >>> from mfcore import ALS
    >>> check_recommender(ALS(n_factors=2, n_epochs=3))
    """
    for check in _CHECKS:
        check(model)


def same_bits(ours: Factors, other: Factors) -> bool:
    """Whether two models are the same to the last bit, also in what they make of a new user."""
    items = np.arange(min(3, len(ours.item_ids)), dtype=np.int32)
    values = np.full(len(items), ours.scale.maximum, np.float32)
    pairs = [(ours, other), (ours.fold_in(items, values), other.fold_in(items, values))]
    heads = [(factors.global_mean, factors.link, factors.n_draws, len(factors.parts)) for factors in (ours, other)]
    return heads[0] == heads[1] and all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() for a, b in pairs for name in _ARRAYS
    )


def check_sound(factors: Factors, scale: Scale) -> None:
    """Check that every pair, known or not, has a finite prediction on the scale, in float32.

    Raises:
        AssertionError: one has not.
    """
    users, items = np.meshgrid(np.arange(-1, len(factors.user_ids)), np.arange(-1, len(factors.item_ids)))
    predictions = factors.predict(users.ravel().astype(np.int32), items.ravel().astype(np.int32))
    arrays = [predictions, *(getattr(factors, name) for name in _ARRAYS)]
    _require(all(array.dtype == np.float32 for array in arrays), "factors and predictions are float32")
    _require(bool(np.isfinite(predictions).all()), "predictions are finite")
    on_scale = predictions.min() >= scale.minimum and predictions.max() <= scale.maximum
    _require(bool(on_scale), f"predictions are between {scale.minimum:g} and {scale.maximum:g}")


def _require(kept: bool, promise: str) -> None:
    """Raise if a promise is not kept; an `assert` would be left out by `python -O`."""
    if not kept:
        raise AssertionError(f"the contract says: {promise}")


def _synthetic(n_users: int = 60, n_items: int = 40, n_ratings: int = 1200) -> Ratings:
    made = synthesize(n_users, n_items, n_ratings)
    return Ratings.from_frame(made.frame, made.scale)


def _ratings(users: ArrayLike, items: ArrayLike, values: ArrayLike, n_users: int, n_items: int) -> Ratings:
    codes = np.asarray(users, np.int32), np.asarray(items, np.int32)
    ids = np.arange(n_users), np.arange(n_items)
    return Ratings(*codes, np.asarray(values, np.float32), None, *ids, Scale(1, 5))


def _known_by_its_recipe(model: Recommender) -> None:
    recipe = Recipe.of(model)
    _require(MODELS.get(model.algorithm) is type(model), "the class is in MODELS under its algorithm's name")
    _require(recipe.build() == model, "a recipe builds the same model again")


def _same_bits_on_any_number_of_threads(model: Recommender) -> None:
    from mfcore.models.kernels.threads import n_threads, threads

    ratings, fits = _synthetic(), []
    for n in sorted({1, min(2, n_threads()), n_threads()}):
        with threads(n):
            fits += [model.train(ratings), model.train(ratings)]
    _require(all(same_bits(fits[0], other) for other in fits), "same seed, same bits, whatever the number of threads")


def _train_is_the_loop_over_step(model: Recommender) -> None:
    ratings = _synthetic()
    training = model.begin(ratings)
    handed_out: list[Factors] = []
    for _ in range(model.n_epochs):
        training.step()
        handed_out = handed_out or [training.factors(), copy.deepcopy(training.factors())]
    epochs: list[int] = []
    trained = model.train(ratings, lambda progress: epochs.append(progress.epoch))
    _require(same_bits(training.factors(), trained), "train is the loop over step")
    _require(epochs == list(range(1, model.n_epochs + 1)), "each step is an epoch, counted from 1")
    _require(not handed_out or same_bits(*handed_out), "later steps leave factors handed out before as they are")
    again = model.partial_fit(trained, ratings, n_epochs=0)
    _require(same_bits(again, trained), "no epochs more change nothing")


def _no_epochs_change_nothing(model: Recommender) -> None:
    ratings = _synthetic()
    factors = model.train(ratings)
    again = model.partial_fit(factors, ratings, n_epochs=0)
    before, after = (state.pair_scores(ratings.users, ratings.items) for state in (factors, again))
    _require(np.array_equal(before, after, equal_nan=True), "partial_fit without epochs changes nothing")


def _ratings_are_left_alone(model: Recommender) -> None:
    ratings = _synthetic()
    before = copy.deepcopy(ratings)
    for array in (ratings.users, ratings.items, ratings.values):
        array.flags.writeable = False
    model.train(ratings)
    for name in ("users", "items", "values", "user_ids", "item_ids"):
        same = np.array_equal(getattr(ratings, name), getattr(before, name))
        _require(same, f"training leaves the ratings' {name} as they are")


def _sound_everywhere(model: Recommender) -> None:
    ratings = _synthetic()
    check_sound(model.train(ratings), ratings.scale)
    for scale in (Scale(0.5, 5, 0.5), Scale(-10, 10), Scale(0, 100)):
        stretched = np.float32(scale.minimum) + (ratings.values - 1) * np.float32(scale.width / 4)
        check_sound(model.train(replace(ratings, values=stretched, scale=scale)), scale)
    for few in (
        _ratings([], [], [], 0, 0),
        _ratings([], [], [], 3, 2),
        _ratings([0], [0], [4], 1, 1),
        _ratings([0, 0, 0], [0, 1, 2], [1, 3, 5], 1, 3),
        _ratings([0, 1, 2], [0, 0, 0], [1, 3, 5], 3, 1),
        _ratings([0, 0, 1, 1], [0, 1, 0, 1], [3, 3, 3, 3], 2, 2),
        _ratings([1, 5, 5, 8], [0, 0, 7, 7], [5, 1, 2, 4], 10, 9),
    ):
        factors = model.train(few)
        shape = len(factors.user_factors), len(factors.item_factors)
        _require(shape == (few.n_users, few.n_items), "there is a row for every user and item, rated or not")
        check_sound(factors, few.scale)


def _users_without_ratings_are_unknown(model: Recommender) -> None:
    users, items = np.divmod(np.arange(16), 4)
    factors = model.train(_ratings(users, items, 1 + items % 5, 5, 5))
    everything = np.arange(4, dtype=np.int32)
    cold, unknown = np.full(4, 4, np.int32), np.full(4, -1, np.int32)
    # Draws of a row of whom nothing is known are around zero, within their sampling error.
    near = 1e-4 + 4 * factors.deviation(cold, everything) / np.sqrt(factors.n_draws)
    apart = np.abs(factors.predict(cold, everything) - factors.predict(unknown, everything))
    _require(bool((apart <= near).all()), "a user without ratings is predicted what an unknown one is")


def _saved_and_loaded(model: Recommender) -> None:
    ratings = _synthetic()
    factors = model.train(ratings)
    with scratch_folder() as folder:
        Model.of(factors, ratings, None).save(folder)
        again = Model.load(folder)
    _require(same_bits(again.factors, factors), "what is saved and loaded has the same bits")


def _a_data_frame_does_as_well(model: Recommender) -> None:
    frame = _synthetic().to_frame()
    by_frame = model.fit(frame)
    # A frame has no scale: that of its values is taken.
    by_ratings = model.fit(Ratings.from_frame(frame, by_frame.factors.scale))
    _require(same_bits(by_frame.factors, by_ratings.factors), "a data frame gives the bits that its ratings give")


def _folded_in_as_trained(model: Recommender) -> None:
    ratings = _synthetic()
    factors = model.train(ratings)
    items = np.arange(ratings.n_items, dtype=np.int32)
    apart, unknown_apart = [], []
    for user in range(0, ratings.n_users, 7):
        own = ratings.users == user
        new = factors.fold_in(ratings.items[own], ratings.values[own])
        check_sound(new, ratings.scale)
        trained = factors.predict(np.full_like(items, user), items)
        apart.append(new.predict(np.zeros_like(items), items) - trained)
        unknown_apart.append(factors.predict(np.full_like(items, -1), items) - trained)
    far, near = (float(np.sqrt(np.mean(np.square(each)))) for each in (unknown_apart, apart))
    _require(near <= _AS_TRAINED * far + 1e-4, "a trained user who is folded in gets nearly their trained predictions")
    nobody = factors.fold_in(items[:0], np.empty(0, np.float32))
    as_unknown = nobody.predict(np.zeros_like(items), items), factors.predict(np.full_like(items, -1), items)
    _require(np.allclose(*as_unknown, atol=1e-5), "somebody who has rated nothing is predicted what an unknown user is")


_CHECKS: tuple[Callable[[Recommender], None], ...] = (
    _known_by_its_recipe,
    _same_bits_on_any_number_of_threads,
    _train_is_the_loop_over_step,
    _no_epochs_change_nothing,
    _ratings_are_left_alone,
    _sound_everywhere,
    _users_without_ratings_are_unknown,
    _saved_and_loaded,
    _a_data_frame_does_as_well,
    _folded_in_as_trained,
)
