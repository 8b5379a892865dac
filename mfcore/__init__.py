"""Matrix factorization for explicit ratings: from raw ratings to served recommendations.

    import mfcore

    ratings = mfcore.load("ml-100k")
    model = mfcore.ALS(n_factors=16).fit(ratings)
    model.recommend(196, k=10)

Importing the package loads nothing else; each name loads what it needs when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mfcore.config import PipelineConfig
    from mfcore.data.loading import load
    from mfcore.data.ratings import Ratings, Scale
    from mfcore.data.splitting import split
    from mfcore.library import evaluate, tune
    from mfcore.models import ALS, BPMF, EASE, PMF, SGD, Blend, Factors, ItemKNN, Recipe
    from mfcore.models.model import Model
    from mfcore.serving.export import load_export

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

_HOMES = {
    "PipelineConfig": "mfcore.config",
    "load": "mfcore.data.loading",
    "Ratings": "mfcore.data.ratings",
    "Scale": "mfcore.data.ratings",
    "split": "mfcore.data.splitting",
    "evaluate": "mfcore.library",
    "tune": "mfcore.library",
    "Model": "mfcore.models.model",
    "load_export": "mfcore.serving.export",
    **dict.fromkeys(("ALS", "BPMF", "EASE", "PMF", "SGD", "Blend", "Factors", "ItemKNN", "Recipe"), "mfcore.models"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
