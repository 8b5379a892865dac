"""Fits: the same bits in workers as here, in the order they were asked for."""

from pathlib import Path

import numpy as np
import pytest

from mfcore.config import EvaluationConfig
from mfcore.errors import TrainingDiverged
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.fits import fits_here, fits_in_workers
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models import Factors, Recipe
from tests.unit.metrics.cases import random_ratings


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(*random_ratings((60, 80), 1), config=EvaluationConfig(ks=(4, 2)))


def candidate(algorithm: str, *objectives: Objective, **params: object) -> Candidate:
    recipe = Recipe(algorithm=algorithm, params={"n_factors": 3, "n_epochs": 4, **params})
    return Candidate(name=algorithm, role="finalist", objectives=objectives, recipe=recipe)


def saved(factors: Factors | None, folder: Path) -> dict[str, bytes]:
    if factors is None:
        return {}
    factors.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_fits_in_workers_have_the_bits_of_fits_here(evaluator: Evaluator, tmp_path: Path) -> None:
    members = [{"algorithm": "als", "params": {"n_factors": 2}}, {"algorithm": "bias", "params": {}}]
    candidates = [
        candidate("als", Objective.RATING, Objective.RANKING),
        candidate("pmf", Objective.RATING),
        candidate("ease", Objective.RANKING),
        candidate("sgd", Objective.RANKING, missing_weight=0.1),
        Candidate(
            name="blend",
            role="blend",
            objectives=(Objective.RATING,),
            recipe=Recipe(algorithm="blend", params={"members": members}),
        ),
        *[candidate("als", Objective.RANKING, seed=seed) for seed in range(4)],
    ]
    here = list(fits_here(evaluator)(candidates))
    with fits_in_workers(evaluator, 2, 1, tmp_path) as fits:
        there = list(fits(candidates))
    assert not list(tmp_path.iterdir()), "the shared folder is still there"
    for number, (one, other) in enumerate(zip(here, there, strict=True)):
        folder = tmp_path / str(number)
        assert saved(one.factors, folder / "a") == saved(other.factors, folder / "b")
        assert saved(one.without, folder / "c") == saved(other.without, folder / "d")
        assert one.curve == other.curve
    assert [fit.without is not None for fit in there[:5]] == [True, True, False, False, True]
    assert [bool(fit.curve.train) for fit in there[:5]] == [True, True, False, False, False]
    assert len({fit.factors.item_factors.tobytes() for fit in there[5:]}) == 4


def test_a_recipe_that_diverges_says_so_from_a_worker_too(evaluator: Evaluator, tmp_path: Path) -> None:
    wild = candidate("sgd", Objective.RATING, learning_rate=1e6)
    with np.errstate(all="ignore"), pytest.raises(TrainingDiverged) as here:
        list(fits_here(evaluator)([wild]))
    with fits_in_workers(evaluator, 1, 1, tmp_path) as fits, pytest.raises(TrainingDiverged) as there:
        list(fits([wild]))
    assert str(there.value) == str(here.value)
