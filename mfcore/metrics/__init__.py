"""What models are measured by."""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.metrics.evaluator import Evaluator, ModelMeasures
    from mfcore.metrics.intervals import Bootstrap, Comparison, Estimate, compare
    from mfcore.metrics.measure import Measure
    from mfcore.metrics.objective import Objective
    from mfcore.metrics.rating import mae, rmse

__all__ = [
    "Bootstrap",
    "Comparison",
    "Estimate",
    "Evaluator",
    "Measure",
    "ModelMeasures",
    "Objective",
    "compare",
    "mae",
    "rmse",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "evaluator": ("Evaluator", "ModelMeasures"),
        "intervals": ("Bootstrap", "Comparison", "Estimate", "compare"),
        "measure": ("Measure",),
        "objective": ("Objective",),
        "rating": ("mae", "rmse"),
    },
)
