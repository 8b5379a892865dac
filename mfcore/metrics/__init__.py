"""What models are measured by."""

from mfcore.metrics.evaluator import Evaluator, Measured
from mfcore.metrics.intervals import Bootstrap, Comparison, Estimate, compare
from mfcore.metrics.measure import Measure
from mfcore.metrics.rating import mae, rmse

__all__ = ["Bootstrap", "Comparison", "Estimate", "Evaluator", "Measure", "Measured", "compare", "mae", "rmse"]
