"""What is searched: each model's own ranges, changed by the configuration, and refused in a line where it can't be."""

from pathlib import Path

import pytest

from mfcore.config import TUNABLE, PipelineConfig, TuningConfig
from mfcore.errors import UsageError
from mfcore.models import MODELS, Range
from mfcore.tuning import search_space, search_spaces
from mfcore.tuning.space import Choice, n_planned

GRIDS = sorted((Path(__file__).parents[3] / "deployment" / "grids").glob("*.toml"))


def space_of(toml: str, algorithm: str = "als", **tuning: object):  # type: ignore[no-untyped-def]
    import tomllib

    return search_space("rating", algorithm, TuningConfig(space={algorithm: tomllib.loads(toml)}, **tuning))


def test_what_can_be_tuned_is_what_has_a_space() -> None:
    assert set(TUNABLE["rating"]) == {name for name, model in MODELS.items() if model.space and name != "ease"}
    assert set(TUNABLE["ranking"]) == set(TUNABLE["rating"]) - {"bias"} | {"ease"}


def test_each_notation_changes_its_own_hyper_parameter_and_leaves_the_rest() -> None:
    space = space_of(
        'n_factors = [8, 16]\nreg_user = { low = 0.5, high = 5 }\nreg_item = { same_as = "reg_user" }\n'
        "nonnegative = true\nreg_exponent = { low = 0.1, high = 1, log = true }\n"
    )
    own = MODELS["als"].space
    assert space.searched == {
        "reg_user_bias": own["reg_user_bias"],
        "reg_item_bias": own["reg_item_bias"],
        "n_factors": Choice((8, 16)),
        "reg_user": Range(0.5, 5, log=True),  # as in the model's own range
        "reg_exponent": Range(0.1, 1, log=True),
    }
    assert space.fixed == {"nonnegative": True}
    params = space.complete({"n_factors": 16, "reg_user": 0.7}, seed=3)
    assert (params["reg_item"], params["nonnegative"], params["seed"]) == (0.7, True, 3)
    assert space.complete({}, seed=0)["reg_item"] == MODELS["als"]().reg_user


def test_fixed_values_of_other_kinds() -> None:
    assert space_of('optimizer = "adam"\nbatch_size = 128', "sgd").fixed == {"optimizer": "adam", "batch_size": 128}
    assert space_of('priors = ["fixed", "diagonal"]', "pmf").searched["priors"] == Choice(("fixed", "diagonal"))


def test_a_start_holds_to_what_is_fixed_but_not_to_the_ranges() -> None:
    space = space_of("n_factors = [4, 8]\nnonnegative = true")
    champion = MODELS["als"](n_factors=100, reg_user=70.0, seed=5).model_dump()
    defaults, second = space.starts(champion, seed=1)
    assert (defaults["n_factors"], defaults["nonnegative"]) == (64, True)
    assert (second["n_factors"], second["reg_user"], second["nonnegative"], second["seed"]) == (100, 70.0, True, 5)
    assert "n_epochs" not in second
    assert not space.holds(second, seed=1)
    assert space.holds(space.complete({"n_factors": 4}, seed=1), seed=1)
    assert len(space.starts(defaults, seed=1)) == 1
    assert space.edges(second) == ["reg_user"]


def test_edges_of_ranges_and_of_lists() -> None:
    space = space_of("n_factors = [8, 16, 32]\nreg_user = { low = 1, high = 100, log = true }\nreg_item = [1, 2]")
    inside = {"reg_user_bias": 0.1, "reg_item_bias": 0.1, "reg_exponent": 0.7}
    assert space.edges({**inside, "n_factors": 16, "reg_user": 10.0, "reg_item": 1.0}) == []
    assert space.edges({**inside, "n_factors": 32, "reg_user": 1.01, "reg_item": 2.0}) == ["n_factors", "reg_user"]


@pytest.mark.parametrize("file", GRIDS, ids=lambda file: file.stem)
def test_the_shipped_grids_have_the_points_they_say(file: Path) -> None:
    config = PipelineConfig.load(file).tuning
    (space,) = search_spaces(config).values()
    starts = space.starts(None, config.seed)
    points = space.points(starts, config.seed)
    assert f"{len(points)} points, after the defaults" in file.read_text()
    assert n_planned(space, config, None) == len(points) + 1
    assert n_planned(space, config.model_copy(update={"n_trials": 3}), None) == 3
    assert all(space.model(**point) for point in points)


def test_there_are_grids() -> None:
    assert [file.stem for file in GRIDS] == ["als-rank", "als", "sgd-rate", "sgd"]
    ties = search_spaces(PipelineConfig.load(GRIDS[1]).tuning)["rating-als"].points([], 0)
    assert all(point["reg_user"] == point["reg_item"] for point in ties)
    assert {(point["n_factors"], point["reg_user"]) for point in ties} == {
        (k, reg) for k in (5, 10, 20, 40, 80) for reg in (0.1, 1.0, 10.0, 100.0)
    }


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("n_factor = 8", "als has no hyper-parameter 'n_factor'; did you mean 'n_factors'"),
        ("n_epochs = [5, 10]", "n_epochs is not searched: the best epoch counts"),
        ("n_factors = 8.5", "als.n_factors = 8.5: Input should be a valid integer"),
        ("n_factors = [8, 0]", "als.n_factors = 0: Input should be greater than or equal to 1"),
        ("reg_user = { low = 0, high = 1 }", "als.reg_user = 0.0: Input should be greater than 0"),
        ("nonnegative = { low = 1, high = 2 }", "als.nonnegative is no number to search"),
        ('reg_item = { same_as = "reg_usr" }', "no hyper-parameter 'reg_usr'; did you mean 'reg_user'"),
        ('reg_item = { same_as = "reg_user" }\nreg_user = { same_as = "reg_item" }', "which is the same as reg_item"),
    ],
)
def test_a_hyper_parameter_that_cannot_be(toml: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        space_of(toml)
    assert len(str(raised.value).splitlines()) == 1


def test_a_value_that_is_not_known_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="sgd.optimizer = 'adan': Input should be 'sgd' or 'adam'"):
        space_of('optimizer = "adan"', "sgd")


def test_a_space_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="rating-bpmf has nothing left to search"):
        space_of("n_factors = 8", "bpmf")


def test_a_grid_takes_lists_alone() -> None:
    with pytest.raises(UsageError, match="sampler grid: als.reg_user is a range .* give it a list"):
        space_of("n_factors = [8]\nreg_user = { low = 1, high = 2 }", sampler="grid")
    with pytest.raises(UsageError, match=r"sampler grid: no list of values in \[tuning.space.als\]"):
        space_of("n_factors = 8", sampler="grid")
    assert list(space_of("n_factors = [8]", sampler="grid").searched) == ["n_factors"]


def test_spaces_of_algorithms_that_are_not_tuned_are_read_all_the_same() -> None:
    with pytest.raises(UsageError, match="sgd has no hyper-parameter 'n_factor'"):
        search_spaces(TuningConfig(algorithms=("als",), space={"sgd": {"n_factor": 3}}))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tuning.sampler=tpes", "tuning.sampler: Input should be 'tpe', 'random' or 'grid'"),
        ("tuning.pruner=medium", "tuning.pruner: Input should be 'median', 'hyperband' or 'none'"),
        ("tuning.validation=kfold", "tuning.validation: Input should be 'auto', 'single' or 'k-fold'"),
        ("tuning.n_workers=0", "tuning.n_workers: .* greater than or equal to 1"),
        ("tuning.n_folds=1", "tuning.n_folds: .* greater than or equal to 2"),
        ("tuning.algorithms=knm", "unknown algorithm 'knm'; did you mean 'knn'"),
        ("tuning.space.asl.n_factors=3", "unknown algorithm 'asl'; did you mean 'als'"),
        ("tuning.space.als=3", r"als needs a table of hyper-parameters, as in \[tuning.space.als\]"),
        ("tuning.space.als.n_factors={low=9,high=3}", "als.n_factors: low 9 is not below high 3"),
        ("tuning.space.als.n_factors={low=9,hihg=30}", "als.n_factors: unknown key 'hihg'; did you mean 'high'"),
        ("tuning.space.als.n_factors={low=9}", "als.n_factors: a range needs low and high"),
        ("tuning.space.als.reg_user={low=1,high=inf}", "als.reg_user: the range from 1 to inf has no end"),
        ("tuning.space.als.reg_user={low=0,high=1,log=true}", "als.reg_user: low 0 has no logarithm"),
        ('tuning.space.als.reg_user={low=0,same_as="reg_item"}', "same_as stands alone"),
        ("tuning.space.als.n_factors=[]", "als.n_factors: a list needs at least one value, and each but once"),
        ("tuning.space.als.n_factors=[8,8]", "als.n_factors: a list needs at least one value, and each but once"),
        ("tuning.space.als.reg_user=[nan]", "als.reg_user: nan is no value to choose"),
        ("tuning.space.als.reg_user=2020-01-01", "als.reg_user: it needs a value, a list of values, or a table"),
        ("tuning.seed.x=3", "tuning.seed: Input should be a valid integer"),
        ("tuning.storage=sqlite:///x.db", "tuning.storage: trials are shared through PostgreSQL"),
        ("tuning.storage=postgresql://me:hunter2@host/db", "tuning.storage: the url holds a password"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_in_a_line(override: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        PipelineConfig.load(overrides=[override])
    assert len(str(raised.value).splitlines()) == 1
    assert "hunter2" not in str(raised.value)


def test_a_table_is_set_a_key_at_a_time() -> None:
    overrides = ["tuning.space.als.n_factors=[8, 16]", "tuning.space.als.reg_item={same_as = 'reg_user'}"]
    config = PipelineConfig.load(overrides=overrides)
    assert config == PipelineConfig.model_validate(config.model_dump(mode="json"))
    assert list(config.tuning.space["als"]) == ["n_factors", "reg_item"]
    with pytest.raises(UsageError, match="n_trials is a value, not a table"):
        PipelineConfig.load(overrides=["tuning.n_trials=3", "tuning.n_trials.x=3"])
