"""`mfcore bench`: the trainers beside the libraries people would otherwise pick, in one run."""

from mfcore.bench.accuracy import RECIPES, accuracy
from mfcore.bench.busy import busy
from mfcore.bench.lists import lists
from mfcore.bench.report import save, table
from mfcore.bench.speed import CONTESTS, SHAPES, speed, synthetic_ratings

__all__ = ["CONTESTS", "RECIPES", "SHAPES", "accuracy", "busy", "lists", "save", "speed", "synthetic_ratings", "table"]
