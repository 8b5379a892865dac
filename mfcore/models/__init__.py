"""The trainers: ratings in, factors out.

All are imported at once, unlike elsewhere: an algorithm enters `MODELS`, by which recipes find it, when its class is
defined.
"""

from mfcore.models.als import ALS
from mfcore.models.als_spark import ALSSpark
from mfcore.models.base import MODELS, Range, Recommender, Training
from mfcore.models.baselines import BiasOnly, GlobalMean, MostPopular
from mfcore.models.blend import Blend
from mfcore.models.bpmf import BPMF
from mfcore.models.ease import EASE
from mfcore.models.factors import Factors
from mfcore.models.knn import ItemKNN
from mfcore.models.model import Model
from mfcore.models.pmf import PMF
from mfcore.models.recipe import Recipe
from mfcore.models.sgd import SGD

__all__ = [
    "ALS",
    "BPMF",
    "EASE",
    "MODELS",
    "PMF",
    "SGD",
    "ALSSpark",
    "BiasOnly",
    "Blend",
    "Factors",
    "GlobalMean",
    "ItemKNN",
    "Model",
    "MostPopular",
    "Range",
    "Recipe",
    "Recommender",
    "Training",
]
