"""The search for hyper-parameters: one Optuna study per objective and algorithm, never on test ratings."""

from typing import TYPE_CHECKING

from mfcore.faces import face

if TYPE_CHECKING:
    from mfcore.tuning.search import SearchInterrupted
    from mfcore.tuning.space import search_space, search_spaces
    from mfcore.tuning.study import tune
    from mfcore.tuning.trials import Trial, Tuned

__all__ = [
    "SearchInterrupted",
    "Trial",
    "Tuned",
    "search_space",
    "search_spaces",
    "tune",
]

__getattr__, __dir__ = face(
    __name__,
    {
        "search": ("SearchInterrupted",),
        "space": ("search_space", "search_spaces"),
        "study": ("tune",),
        "trials": ("Trial", "Tuned"),
    },
)
