"""A search for lists: the direction, the best epoch, the folds and the names follow NDCG."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest

from mfcore.config import EvaluationConfig, PipelineConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import NothingRelevant, UsageError
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import ALS, BPMF, MODELS, Range
from mfcore.tuning import Trial, search_space, search_spaces, tune
from mfcore.tuning.folds import folds_of, measurable
from mfcore.tuning.importances import importances
from mfcore.tuning.sampling import propose
from tests.unit.metrics.cases import random_ratings
from tests.unit.tuning.test_search import CONFIG, changed, gist, parts

RANKING = Objective.RANKING
LISTS = EvaluationConfig(ks=(5,))


def test_the_highest_ndcg_wins_at_the_epoch_where_it_was_highest(tmp_path: Path) -> None:
    tuned = tune("als", *parts(), CONFIG, tmp_path / "study.log", objective=RANKING, lists=LISTS)
    values = [trial.value for trial in tuned.trials if trial.value is not None]
    assert tuned.value == max(values) > min(values)
    assert (tuned.name, tuned.metric_name, tuned.best.metric_name) == ("ranking-als", *["validation_ndcg_at_5"] * 2)
    assert tuned.trials[7].name == "ranking-als-007"
    assert tuned.recipe.params["n_epochs"] == np.argmax(tuned.best.curve) + 1
    train, validation = parts()
    measure = Yardstick(objective=RANKING, k=5).on(train, validation)
    assert measure(tuned.recipe.build().train(train)) == tuned.value
    patience = 3
    for trial in tuned.trials:
        assert trial.value == max(trial.curve)
        if trial.outcome == "complete" and len(trial.curve) < 8:
            assert len(trial.curve) - (np.argmax(trial.curve) + 1) == patience


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
@pytest.mark.parametrize("objective", list(Objective))
def test_what_is_given_up_is_what_is_poor(objective: Objective, pruner: str) -> None:
    config = TuningConfig(sampler="random", pruner=pruner, max_epochs=9)
    space = search_space(objective.value, "als", config)

    def is_poor(value: float) -> bool:
        finished = {}
        for number in range(12):
            proposal = propose(number, None, finished, {}, space, config)
            for epoch in range(1, 10):
                proposal.is_poor(0.5 + 0.01 * number, epoch)
            finished[number] = Trial(
                objective=objective, metric="m", algorithm="als", number=number, params=proposal.params,
                curve=[0.5 + 0.01 * number] * 9, value=0.5 + 0.01 * number, outcome="complete", seconds=1,
                rungs=proposal.rungs,
            )  # fmt: skip
        proposal = propose(12, None, finished, {}, space, config)
        return any(proposal.is_poor(value, epoch) for epoch in range(1, 10))

    low, high = is_poor(0.1), is_poor(0.9)
    assert (low, high) == ((True, False) if objective is RANKING else (False, True))


def test_workers_measure_what_one_process_does(tmp_path: Path) -> None:
    config = changed(sampler="random", n_trials=4, max_epochs=3, max_ranking_users=50)
    one = tune("als", *parts(), config, tmp_path / "1.log", objective=RANKING)
    two = tune("als", *parts(), config.model_copy(update={"n_workers": 2}), tmp_path / "2.log", objective=RANKING)
    assert gist(two.trials) == gist(one.trials)
    assert one.metric == "ndcg_at_10"


def test_folds_have_a_mean_and_a_spread_of_ndcg(tmp_path: Path) -> None:
    config = changed(validation="k-fold", n_folds=3, n_trials=1)
    tuned = tune("als", *parts(), config, tmp_path / "study.log", objective=RANKING, lists=LISTS)
    model, yardstick = tuned.recipe.build(), Yardstick(objective=RANKING, k=5)
    found = [yardstick.on(*fold)(model.train(fold[0])) for fold in folds_of(*parts(), config, yardstick)]
    assert tuned.value == pytest.approx(np.mean(found))
    assert tuned.spread == pytest.approx(np.std(found, ddof=1))


def test_few_validation_ratings_are_a_reason_for_folds(caplog: pytest.LogCaptureFixture) -> None:
    train, validation = parts()
    caplog.set_level(logging.INFO)
    assert len(folds_of(train, validation, TuningConfig(), Yardstick())) == 5
    assert "300 validation ratings are few to choose by: trials are scored on 5 folds" in caplog.text
    assert len(folds_of(validation, validation.take(np.arange(1000) % 300), TuningConfig(), Yardstick())) == 1
    assert len(folds_of(train, validation, TuningConfig(validation="single"), Yardstick())) == 1


def test_few_users_whose_lists_can_be_measured_are_one_too(caplog: pytest.LogCaptureFixture) -> None:
    """As in a split by time, where most users of the validation part are new."""
    train, validation = random_ratings((400, 80), 1)[0], random_ratings((400, 80), 2)[0]
    caplog.set_level(logging.INFO)
    ranking = Yardstick(objective=RANKING)
    assert len(folds_of(train, validation, TuningConfig(), ranking)) == 1
    early = train.take(np.flatnonzero(train.users < 100))
    assert len(folds_of(early, validation, TuningConfig(), Yardstick())) == 1
    assert len(folds_of(early, validation, TuningConfig(), ranking)) == 5
    n_users = len(np.intersect1d(ranking.users(validation), early.users))
    assert 0 < n_users <= 100
    assert f"ranking: {n_users} users with training ratings who liked a validation item are few" in caplog.text


def disliked(ratings: Ratings) -> Ratings:
    return dataclasses.replace(ratings, values=np.ones_like(ratings.values))


def test_a_validation_part_that_nobody_liked_anything_in_is_refused_before_the_search(tmp_path: Path) -> None:
    train, validation = parts()
    journal = tmp_path / "study.log"
    with pytest.raises(NothingRelevant, match="nobody has a validation rating of 4 or more"):
        tune("als", train, disliked(validation), CONFIG, journal, objective=RANKING)
    rating = tune("als", train, disliked(validation), changed(n_trials=1), tmp_path / "rating.log")
    assert rating.value > 0


def test_a_fold_that_holds_nothing_liked_is_passed_over() -> None:
    train, validation = parts()
    folds = [(train, validation), (train, disliked(validation))]
    assert measurable(folds, Yardstick(objective=RANKING)) == folds[:1]
    assert measurable(folds, Yardstick()) == folds
    with pytest.raises(NothingRelevant):
        measurable(folds[1:], Yardstick(objective=RANKING))


def test_lists_have_a_space_and_defaults_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ALS, "ranking_space", {"n_factors": Range(8, 512, log=True)})
    monkeypatch.setattr(ALS, "ranking_defaults", {"n_factors": 32, "reg_user": 4.0})
    config = TuningConfig(
        space={"als": {"nonnegative": True, "reg_exponent": 0.5}, "ranking-als": {"reg_exponent": [0.1, 0.9]}}
    )
    rating, ranking = search_space("rating", "als", config), search_space("ranking", "als", config)
    assert set(rating.searched) == set(ALS.space) - {"reg_exponent"}
    assert set(ranking.searched) == {"n_factors", "reg_exponent"}
    assert rating.fixed == {"nonnegative": True, "reg_exponent": 0.5}
    assert ranking.fixed == {"nonnegative": True}
    (start,) = ranking.starts(None, seed=0)
    assert (start["n_factors"], start["reg_user"], start["reg_item"]) == (32, 4.0, 1.0)
    assert rating.starts(None, seed=0)[0]["n_factors"] == 64
    assert (rating.direction, ranking.direction) == ("minimize", "maximize")
    assert ranking.holds(ranking.complete({"n_factors": 9, "reg_exponent": 0.1}, seed=2), seed=2)


def test_each_objective_has_its_studies() -> None:
    spaces = search_spaces(TuningConfig())
    assert {name for name in spaces if name != "ranking-ease"} == {
        f"{objective}-{name}" for objective in Objective for name in ("als", "sgd", "pmf")
    }
    assert list(search_spaces(TuningConfig(algorithms=("bpmf", "bias")))) == [
        "rating-bpmf",
        "rating-bias",
        "ranking-bpmf",
    ]
    assert TuningConfig(ranking=()).studies == (("rating", "als"), ("rating", "sgd"), ("rating", "pmf"))
    assert PipelineConfig.load(overrides=["tuning.rating=", "tuning.ranking=ease,als"]).tuning.studies == (
        ("ranking", "ease"),
        ("ranking", "als"),
    )


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tuning.rating=ease", "tuning.rating: unknown algorithm 'ease'"),
        ("tuning.ranking=bias", "tuning.ranking: unknown algorithm 'bias'"),
        ("tuning.ranking=eaze", "tuning.ranking: unknown algorithm 'eaze'; did you mean 'ease'"),
        ("tuning.space.rankin-als.n_factors=3", "tuning.space: unknown algorithm 'rankin-als'; did you mean 'als'"),
        ("tuning.max_ranking_users=0", "tuning.max_ranking_users: .* greater than or equal to 1"),
    ],
)
def test_studies_that_cannot_be(override: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PipelineConfig.load(overrides=[override])
    with pytest.raises(UsageError, match="nothing to tune: name algorithms for rating, for ranking or for both"):
        PipelineConfig.load(overrides=["tuning.rating=[]", "tuning.ranking=[]"])


def test_an_algorithm_has_epochs_of_its_own_unless_the_configuration_has() -> None:
    for objective in ("rating", "ranking"):
        own = search_space(objective, "bpmf", TuningConfig())
        assert (own.max_epochs, own.patience) == (BPMF.max_epochs, BPMF.patience) == (120, 30)
        usual = search_space(objective, "als", TuningConfig())
        assert (usual.max_epochs, usual.patience) == (40, 3)
        given = search_space(objective, "bpmf", TuningConfig(max_epochs=7, patience=2))
        assert (given.max_epochs, given.patience) == (7, 2)


def test_bpmf_is_trained_past_its_burn_in(tmp_path: Path) -> None:
    config = TuningConfig(n_trials=1, validation="single", space={"bpmf": {"n_factors": [4, 8], "n_draws": 10}})
    tuned = tune("bpmf", *parts(), config, tmp_path / "study.log")
    assert len(tuned.trials[0].curve) > MODELS["bpmf"]().model_dump()["burn_in"]


def test_importances_are_of_what_makes_lists_better(tmp_path: Path) -> None:
    config = changed(sampler="random", pruner="none", n_trials=8, max_epochs=2)
    tuned = tune("als", *parts(), config, tmp_path / "study.log", objective=RANKING)
    shares = importances(tuned.trials)
    assert sum(shares.values()) == pytest.approx(1)
