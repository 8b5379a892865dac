"""How good models are on test, and whether one is better than another."""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.evaluation.blending import blend_of
    from mfcore.evaluation.candidates import Candidate
    from mfcore.evaluation.curves import LearningCurve, learning_curve
    from mfcore.evaluation.gate import Decision, decide
    from mfcore.evaluation.scoring import Score, ScoredModel, comparison, evaluate

__all__ = [
    "Candidate",
    "Decision",
    "LearningCurve",
    "Score",
    "ScoredModel",
    "blend_of",
    "comparison",
    "decide",
    "evaluate",
    "learning_curve",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "blending": ("blend_of",),
        "candidates": ("Candidate",),
        "curves": ("LearningCurve", "learning_curve"),
        "gate": ("Decision", "decide"),
        "scoring": ("Score", "ScoredModel", "comparison", "evaluate"),
    },
)
