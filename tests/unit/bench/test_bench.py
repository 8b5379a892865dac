import json
from pathlib import Path

import numpy as np
import pytest

from mfcore import bench
from mfcore.bench import peers
from mfcore.bench.speed import Contest, _derived
from mfcore.models import Recipe
from tests.contract.synthetic import synthetic_ratings


@pytest.mark.slow
def test_speed_is_measured_in_processes_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(bench.SHAPES, "small", (300, 200, 20_000))
    monkeypatch.setitem(bench.CONTESTS, "two", Contest(16, ("als", "bpmf")))
    lines: list[str] = []
    result = bench.speed(["small"], ["two"], rounds=1, tell=lines.append, with_compiling=False)
    als, bpmf = result["results"]
    assert als["library"] == "mfcore als" and bpmf["library"] == "mfcore bpmf"
    assert als["updates_a_second"] == pytest.approx(20_000 / als["seconds"])
    assert als["ratio"] == 1 and bpmf["ratio"] == pytest.approx(bpmf["seconds"] / als["seconds"])
    assert result["machine"]["sgemm_gflops"] > 0 and len(lines) == 2
    bench.save(result, tmp_path / "speed.json")
    assert json.loads((tmp_path / "speed.json").read_text()) == result
    assert "| small | two | 16 | mfcore bpmf |" in (tmp_path / "speed.md").read_text()


def test_useful_flops_count_half_a_gram_and_a_factorization() -> None:
    fits = [
        {"short": 3.0, "long": 43.0, "peak_bytes": 300.0},
        {"short": 5.0, "long": 46.0, "peak_bytes": 200.0},
    ]
    figures = _derived("als", (10, 20, 100), 4, fits)
    assert figures["seconds"] == 1.0  # the fastest of each, over the 40 epochs between them
    assert figures["useful_gflops"] == pytest.approx((2 * 100 * 16 + 30 * 64 / 3) / 1e9)
    assert figures["peak_bytes_a_rating"] == 2.0


def test_peers_that_are_missing_are_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    ratings, _ = synthetic_ratings(n_users=30, n_items=20)
    result = bench.accuracy(ratings, {"mean": Recipe(algorithm="global_mean")}, n_folds=2)
    assert result["missing"] == ["cmfrec", "lenskit", "surprise", "cornac"] and list(result["rmse"]) == ["mean"]


def test_accuracy_is_the_mean_over_folds_of_errors_on_unseen_ratings() -> None:
    ratings, _ = synthetic_ratings(n_users=80, n_items=60)
    recipes = {
        "mean": Recipe(algorithm="global_mean"),
        "als": Recipe(algorithm="als", params={"n_factors": 2, "reg_user": 0.1, "reg_item": 0.1}),
    }
    result = bench.accuracy(ratings, recipes, n_folds=4, with_peers=False)
    assert all(len(values) == 4 for values in result["folds"].values())
    assert result["rmse"]["mean"] == pytest.approx(np.std(ratings.values), rel=0.02)
    assert 0.1 < result["rmse"]["als"] < 0.6 * result["rmse"]["mean"]
    assert "| als | 0." in bench.table(result)


def test_every_recipe_can_be_built() -> None:
    assert all(recipe.build().n_epochs > 0 for recipe in bench.RECIPES.values())
