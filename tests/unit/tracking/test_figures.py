"""Figures are looked at by people; here they are held to what they show and to nothing being cut off."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mfcore.data.ratings import Ratings, Scale
from mfcore.data.synthetic import synthesize
from mfcore.models import Recipe
from mfcore.tracking import figures, trial_figures
from mfcore.tracking.canvas import color_of
from mfcore.tuning.importances import importances
from tests.unit.tracking.conftest import trial

TRIALS = {
    "als": [trial(number, "als") for number in range(6)],
    "sgd": [trial(0, "sgd"), trial(1, "sgd", "pruned", 2), trial(2, "sgd", "diverged"), trial(3, "sgd", n_epochs=1)],
}


def assert_nothing_is_cut_off(figure: Any) -> None:
    """All that is drawn lies on the canvas."""
    figure.draw_without_rendering()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert drawn.x0 >= 0 and drawn.y0 >= 0 and drawn.x1 <= width and drawn.y1 <= height, drawn


@pytest.fixture(scope="module")
def ratings() -> Ratings:
    return Ratings.from_frame(synthesize(120, 60, 3000).frame, Scale(1, 5, 1))


def test_trials_are_drawn_in_four_figures() -> None:
    figured = trial_figures.figures_of(TRIALS.values())
    drawn = {name.removeprefix("rating_"): figure for name, figure in figured.items()}
    assert set(drawn) == {"optimization_history", "learning_curves", "parameter_importances", "parallel_coordinates"}
    for figure in drawn.values():
        assert_nothing_is_cut_off(figure)
    curves = drawn["learning_curves"].axes
    assert [len(axes.lines) for axes in curves] == [6, 3]  # what diverged has no error to show
    assert "rating-als-000" in curves[0].get_title()
    steps = drawn["optimization_history"].axes[0].lines
    assert steps[0].get_color() == color_of("als") != steps[1].get_color() == color_of("sgd")
    assert np.all(np.diff(steps[0].get_ydata()) <= 0)


def test_few_trials_draw_what_can_be_drawn() -> None:
    assert trial_figures.figures_of([[trial(0, outcome="diverged")]]) == {}
    one = trial_figures.figures_of([[trial(0)]])
    assert set(one) == {"rating_optimization_history", "rating_learning_curves"}
    for figure in one.values():
        assert_nothing_is_cut_off(figure)


def test_what_decides_is_the_most_important() -> None:
    rng = np.random.default_rng(0)
    trials = []
    for number in range(40):
        reg, other = float(10 ** rng.uniform(-3, 1)), int(rng.integers(4, 64))
        error = 0.9 + 0.1 * np.log10(reg / 0.1) ** 2
        params = {"reg_user": reg, "n_factors": other, "seed": 0}
        trials.append(trial(number).model_copy(update={"params": params, "value": float(error)}))
    shares = importances(trials)
    assert list(shares) == ["reg_user", "n_factors"]  # seed never changed
    assert shares["reg_user"] > 0.7
    assert sum(shares.values()) == pytest.approx(1)
    assert importances(trials[:3]) == {}


def test_every_epoch_is_drawn_and_checkpoints_stand_out() -> None:
    train, validation = list(np.linspace(1, 0.6, 200)), [*np.linspace(1, 0.9, 25), *np.linspace(0.9, 1, 175)]
    figure = figures.learning_curves(train, validation, 25)
    (axes,) = figure.axes
    assert len(axes.lines[0].get_xdata()) == 200
    assert [axes.lines[0].get_xdata()[place] for place in axes.lines[0].get_markevery()] == [
        1, 2, 5, 10, 25, 50, 100, 200
    ]  # fmt: skip
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "5", "10", "25", "50", "100", "200"]
    assert "chosen: 25 epochs" in [text.get_text() for text in axes.get_legend().get_texts()]
    assert_nothing_is_cut_off(figure)
    assert_nothing_is_cut_off(figures.learning_curves([0.9], [], 1))


def test_error_by_activity_is_that_of_each_group(ratings: Ratings) -> None:
    half = ratings.take(np.arange(0, len(ratings), 2)), ratings.take(np.arange(1, len(ratings), 2))
    predicted = np.full(len(half[1]), 3, np.float32)
    figure = figures.errors_by_activity(predicted, half[1], half[0])
    assert_nothing_is_cut_off(figure)
    counts = np.bincount(half[0].users, minlength=ratings.n_users)[half[1].users]
    for place, label in enumerate(tick.get_text() for tick in figure.axes[0].get_xticklabels()):
        low, _, high = label.partition("–")
        inside = (counts >= int(low)) & (counts <= int(high or low))
        rmse = np.sqrt(np.mean((half[1].values[inside] - 3) ** 2))
        assert figure.axes[0].lines[0].get_ydata()[place] == pytest.approx(rmse)


def test_popularity_of_lists_and_profiles(ratings: Ratings) -> None:
    most = Recipe(algorithm="most_popular").build().train(ratings)
    figure = figures.popularity(figures.tastes(most, ratings, 10), 10)
    assert_nothing_is_cut_off(figure)
    dots = figure.axes[0].collections[0].get_offsets()
    share = 100 * np.bincount(ratings.items, minlength=ratings.n_items) / ratings.n_users
    own = ratings.items[ratings.users == 0]
    unseen = np.sort(np.delete(share, own))[::-1][:10]
    np.testing.assert_allclose(dots[0], [share[own].mean(), unseen.mean()])


def test_compared_models_show_their_intervals() -> None:
    table = pd.DataFrame(
        {
            "model": ["als", "bias", "odd"],
            "role": ["finalist", "baseline", "baseline"],
            "for": ["rating", "", ""],
            "test_rmse": [0.9, 0.95, None],
            "test_rmse_low": [0.88, None, None],
            "test_rmse_high": [0.93, None, None],
        }
    )
    figure = figures.compared(table, {"rating": "test_rmse"})
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["bias", "als"]
    assert_nothing_is_cut_off(figure)
    assert_nothing_is_cut_off(
        figures.compared(table.drop(columns=["test_rmse_low", "test_rmse_high"]), {"rating": "test_rmse"})
    )


def test_calibration_and_error_by_rating(ratings: Ratings) -> None:
    predicted = np.clip(ratings.values + 0.5, 1, 5).astype(np.float32)
    assert_nothing_is_cut_off(figures.calibration(predicted, ratings.values, ratings.scale))
    assert_nothing_is_cut_off(figures.errors_by_rating(predicted, ratings.values, ratings.scale))
