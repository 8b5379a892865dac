"""`mfcore bench`: the trainers beside the libraries people would otherwise pick, in one run."""

from mfcore.bench.accuracy import RECIPES, accuracy
from mfcore.bench.report import save, table
from mfcore.bench.speed import CONTESTS, SHAPES, speed

__all__ = ["CONTESTS", "RECIPES", "SHAPES", "accuracy", "save", "speed", "table"]
