"""Matrix factorization for explicit ratings: from raw ratings to served recommendations.

    import mfcore

    ratings = mfcore.load("ml-100k")
    model = mfcore.ALS(n_factors=16).fit(ratings)
    model.recommend(196, k=10)

Importing the package loads nothing else; each name loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.config import PipelineConfig
    from mfcore.data import Ratings, Scale, load, split
    from mfcore.library import evaluate, tune
    from mfcore.models import ALS, BPMF, EASE, PMF, SGD, Blend, Factors, ItemKNN, Model, Recipe
    from mfcore.serving import load_export

__version__ = "0.2.0"

__all__ = [
    "ALS",
    "BPMF",
    "EASE",
    "PMF",
    "SGD",
    "Blend",
    "Factors",
    "ItemKNN",
    "Model",
    "PipelineConfig",
    "Ratings",
    "Recipe",
    "Scale",
    "__version__",
    "evaluate",
    "load",
    "load_export",
    "split",
    "tune",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "config": ("PipelineConfig",),
        "data": ("Ratings", "Scale", "load", "split"),
        "library": ("evaluate", "tune"),
        "models": ("ALS", "BPMF", "EASE", "PMF", "SGD", "Blend", "Factors", "ItemKNN", "Model", "Recipe"),
        "serving": ("load_export",),
    },
)
