"""How much time and memory an evaluation takes beyond training, measured in a process of its own."""

import json
import subprocess
import sys

import pytest

_EVALUATE = """
import json, resource, sys, time
import numpy as np, pandas as pd
from mfcore.bench.speed import synthetic_ratings
from mfcore.config import SplitConfig
from mfcore.data.splitting import split
from mfcore.evaluation.scoring import BASELINES, comparisons
from mfcore.metrics import Evaluator
from mfcore.models import Recipe

ratings = synthetic_ratings(sys.argv[1])
parts = split(ratings, SplitConfig())
genres = [f"Genre{n % 19}|Genre{n % 7}" for n in range(ratings.n_items)]
items = pd.DataFrame({"item_id": ratings.item_ids, "genres": genres})
recipes = {name: Recipe(algorithm=name, params={"n_factors": 64, "n_epochs": 1}) for name in ("als", "sgd", "pmf")}
recipes |= {one.name: one.recipe for one in BASELINES if one.name != "item_knn"}
start = time.perf_counter()
evaluator = Evaluator(ratings, parts, items)
seconds = time.perf_counter() - start
found = {}
for name, recipe in recipes.items():
    factors, without = (recipe.build().train(one) for one in (evaluator.known, evaluator.cold_start.others))
    start = time.perf_counter()
    measured = evaluator.measure(factors, without)
    seconds += time.perf_counter() - start
    found[name] = measured.estimates
start = time.perf_counter()
n_comparisons = len(comparisons(found))
seconds += time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
counts = {"users": len(evaluator.users), "measures": len(measured.measures), "comparisons": n_comparisons}
print(json.dumps({"seconds": seconds, "peak_bytes": peak, **counts}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "seconds", "users"), [("ml-100k", 10, 900), ("ml-10m", 180, 60_000)])
def test_three_finalists_and_their_baselines(shape: str, seconds: float, users: int) -> None:
    """Everybody with a test rating is ranked; item kNN is left out, whose training takes minutes."""
    done = subprocess.run([sys.executable, "-c", _EVALUATE, shape], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{shape}: {found}")
    assert found["users"] >= users
    assert found["seconds"] <= seconds
    assert found["peak_bytes"] <= 4e9
