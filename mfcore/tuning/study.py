"""`tune`: one study, of one objective and one algorithm, in this process or in workers of its own."""

from collections.abc import Callable
from pathlib import Path

from mfcore.config import EvaluationConfig, TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.machine import n_threads
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.tuning.folds import folds_of, measurable
from mfcore.tuning.search import Search
from mfcore.tuning.space import search_space
from mfcore.tuning.trial_storage import open_trial_storage
from mfcore.tuning.trials import Trial, Tuned
from mfcore.tuning.validation import Validation
from mfcore.tuning.workers import Workers, training_pool
from mfcore.workers import WorkerPool

__all__ = ["tune"]


def tune(
    algorithm: str,
    train: Ratings,
    validation: Ratings,
    config: TuningConfig,
    journal: Path,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    *,
    objective: Objective = Objective.RATING,
    lists: EvaluationConfig | None = None,
    champion: Recipe | None = None,
    on_progress: Callable[[int, int], None] = lambda finished, planned: None,
    is_stopped: Callable[[], bool] = lambda: False,
    pool: WorkerPool | None = None,
) -> Tuned:
    """Search the hyper-parameters of `algorithm` for the best validation RMSE, or NDCG@k.

    Trial 0 is the algorithm's defaults, trial 1 the champion's recipe where there is one of this
    algorithm. A trial ends after `config.max_epochs` epochs, after `config.patience` epochs
    without a better figure (or as many as the algorithm needs, where the configuration says
    nothing), or when the pruner gives it up; its best epoch counts.
    Finished trials of an earlier search of the same name count; the rest is run.

    The same seed gives the same trials, also after a kill, and whatever the number of cores.
    Random and grid search give the same for one worker and for up to four (any number without a
    pruner). TPE learns from the trials before: with n_workers > 1 from all but the last
    2 · n_workers, so that other numbers of workers give other trials. With `config.storage`, where
    machines come and go, TPE and pruners go by what has been finished by then.

    Args:
        algorithm: a key of `mfcore.models.MODELS`.
        train: what trials are trained on.
        validation: what they are scored on, over the same ids.
        config: what is searched, how, and for how long.
        journal: the study's file, made when it is not there; its name is the study's in a database.
        on_trial: called with each finished trial, those of an earlier search first.
        objective: what is searched for.
        lists: their length, the first of `ks`, and what counts as liked, for the objective ranking.
        champion: the recipe that is to be beaten. A study keeps to the one it began with.
        on_progress: called with the number of trials that are finished, and of those there will be.
        is_stopped: asked after each epoch; once it says yes, the search ends with what it has.
        pool: workers over these ratings that other studies use, too. None: one worker is this process,
            several are processes of their own.

    Raises:
        UsageError: a search space that can't be, or a journal that can't be written.
        SourceUnavailable: the database can't be reached.
        NothingRelevant: nobody liked anything among the validation ratings (ranking).
        TrainingDiverged: no trial came to an end.
        SearchInterrupted: it was stopped before any trial had finished.
    """
    space = search_space(objective.value, algorithm, config, train.scale)
    yardstick = Yardstick.of(objective, config, lists or EvaluationConfig())
    beaten = champion if champion is not None and champion.algorithm == algorithm else None
    params = beaten.build().model_dump(exclude={"n_epochs"}) if beaten else None
    with open_trial_storage(journal, config.storage, space.direction, params) as storage:
        search = Search(space, yardstick.metric, config, storage, on_trial, on_progress, is_stopped)
        if not search.is_over():
            folds = measurable(folds_of(train, validation, config, yardstick), yardstick)
            if pool is not None:
                _train_in_workers(search, yardstick, config.n_workers, pool)
            elif config.n_workers == 1 and config.storage is None:
                _train_here(search, Validation(folds, yardstick))
            else:
                with training_pool({objective: folds}, journal.parent, max(1, n_threads() // config.n_workers)) as own:
                    _train_in_workers(search, yardstick, config.n_workers, own)
        return search.result()


def _train_here(search: Search, validation: Validation) -> None:
    """Run one trial after another in this process."""
    while not search.is_over() and (attempt := search.next()) is not None:
        try:
            for value, spread in validation.learn(attempt.recipe.build()):
                if search.is_stopped():
                    search.drop(attempt)
                    return
                if not attempt.report(value, spread):
                    break
        except TrainingDiverged:
            search.finish(attempt, "diverged")
        else:
            search.finish(attempt)


def _train_in_workers(search: Search, yardstick: Yardstick, n_workers: int, pool: WorkerPool) -> None:
    """Run trials in processes of their own, which share the arrays."""
    with Workers(search, yardstick, n_workers, pool) as workers:
        workers.run()
