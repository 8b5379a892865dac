import json
from pathlib import Path

import numpy as np
import pytest

from mfcore import bench
from mfcore.models import Recipe
from tests.contract.planted import planted


def test_speed_is_measured_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(bench.SHAPES, "small", (300, 200, 20_000))
    lines: list[str] = []
    result = bench.speed(["small"], n_factors=16, rounds=1, algorithms=["bpmf"], tell=lines.append)
    (measured,) = result["results"]
    assert measured["library"] == "mfcore" and measured["algorithm"] == "bpmf"
    assert measured["updates_a_second"] == pytest.approx(20_000 / measured["seconds"])
    assert result["machine"]["sgemm_gflops"] > 0 and len(lines) == 1
    bench.save(result, tmp_path / "speed.json")
    assert json.loads((tmp_path / "speed.json").read_text()) == result
    assert "| small | bpmf | mfcore |" in (tmp_path / "speed.md").read_text()


def test_useful_flops_count_half_a_gram_and_a_factorisation() -> None:
    fits = [{"seconds": 2.0, "peak_bytes": 300.0}, {"seconds": 1.0, "peak_bytes": 200.0}]
    figures = bench._derived("als", (10, 20, 100), 4, fits)
    assert figures["seconds"] == 1.0
    assert figures["useful_gflops"] == pytest.approx((2 * 100 * 16 + 30 * 64 / 3) / 1e9)
    assert figures["peak_bytes_a_rating"] == 2.0


def test_accuracy_is_the_mean_over_folds_of_errors_on_unseen_ratings() -> None:
    ratings, _ = planted(n_users=80, n_items=60)
    recipes = {
        "mean": Recipe(algorithm="global_mean"),
        "als": Recipe(algorithm="als", params={"n_factors": 2, "reg_user": 0.1, "reg_item": 0.1}),
    }
    result = bench.accuracy(ratings, recipes, n_folds=4)
    assert all(len(values) == 4 for values in result["folds"].values())
    assert result["rmse"]["mean"] == pytest.approx(np.std(ratings.values), rel=0.02)
    assert 0.1 < result["rmse"]["als"] < 0.6 * result["rmse"]["mean"]
    assert "| als | 0." in bench.table(result)


def test_every_recipe_can_be_built() -> None:
    assert all(recipe.build().n_epochs > 0 for recipe in bench.RECIPES.values())
