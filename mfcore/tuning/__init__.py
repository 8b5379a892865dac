"""The search for hyper-parameters: one Optuna study per objective and algorithm, never on test ratings."""

from mfcore.tuning.search import SearchInterrupted
from mfcore.tuning.space import search_space, search_spaces
from mfcore.tuning.study import tune
from mfcore.tuning.trials import Trial, Tuned

__all__ = ["SearchInterrupted", "Trial", "Tuned", "search_space", "search_spaces", "tune"]
