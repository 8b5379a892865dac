"""`Fit`: what a candidate's recipe was trained to, here or in workers side by side."""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from mfcore.data.ratings import Ratings
from mfcore.errors import TrainingDiverged
from mfcore.evaluation.candidates import Candidate
from mfcore.evaluation.curves import LearningCurve, learning_curve
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models import Factors
from mfcore.storage.files import scratch_folder
from mfcore.workers import WorkerPool

__all__ = ["Fit", "Fits", "Parts", "fits_here", "fits_in_workers"]

_AHEAD = 1
"""Fits per worker that are held, beside the one in its hands, until they are asked for."""


@dataclass(frozen=True, eq=False)
class Fit:
    """What a candidate's recipe was trained to.

    Attributes:
        factors: trained on train and validation.
        seconds: that took.
        without: trained on those without the users that play cold-start users; None where it only makes lists.
        curve: both errors by epoch; empty but for finalists of the objective rating.
    """

    factors: Factors
    seconds: float
    without: Factors | None
    curve: LearningCurve

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        self.factors.save(folder / "factors")
        if self.without is not None:
            self.without.save(folder / "without")
        text = self.curve.model_dump_json()
        (folder / "curve.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, seconds: float) -> "Fit":
        """Read what `save` wrote."""
        without = folder / "without"
        curve = (folder / "curve.json").read_text(encoding="utf-8")
        return cls(
            factors=Factors.load(folder / "factors"),
            seconds=seconds,
            without=Factors.load(without) if without.exists() else None,
            curve=LearningCurve.model_validate_json(curve),
        )


Fits = Callable[[Iterable[Candidate]], Iterator[Fit]]
"""Trains candidates, and gives their fits in the same order."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What candidates are trained on.

    Attributes:
        known: train and validation ratings.
        others: those without the users that play cold-start users.
        train, validation: of a learning curve.
    """

    known: Ratings
    others: Ratings
    train: Ratings
    validation: Ratings

    @classmethod
    def of(cls, evaluator: Evaluator) -> "Parts":
        """Those of an evaluator."""
        return cls(evaluator.known, evaluator.cold_start.others, evaluator.train, evaluator.validation)

    def fit(self, candidate: Candidate) -> Fit:
        """Train a candidate's recipe: once where it only makes lists.

        If it competes for rating, it is trained once more without the cold-start users; and, if it is a finalist
        there, on train alone, for its learning curve.

        Raises:
            TrainingDiverged: it leaves the range of numbers.
        """
        recommender = candidate.recipe.build()
        started = time.perf_counter()
        factors = recommender.train(self.known)
        seconds = time.perf_counter() - started
        predicts, curve = Objective.RATING in candidate.objectives, LearningCurve()
        if predicts and candidate.role == "finalist":
            curve = learning_curve(candidate.recipe, self.train, self.validation)
        return Fit(factors, seconds, recommender.train(self.others) if predicts else None, curve)

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`, for workers to share."""
        for name, part in vars(self).items():
            replace(part, times=None, titles=None).save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> "Parts":
        """Map what `save` wrote into memory."""
        return cls(**{name: Ratings.load(folder / name, mapped=True) for name in cls.__dataclass_fields__})


def fits_here(evaluator: Evaluator) -> Fits:
    """Train candidates in this process, one when the one before it has been taken."""
    return lambda candidates: map(Parts.of(evaluator).fit, candidates)


@contextmanager
def fits_in_workers(evaluator: Evaluator, n_workers: int, n_threads: int, home: Path) -> Iterator[Fits]:
    """Train candidates in processes side by side, ahead of being taken.

    Args:
        evaluator: what they are trained on.
        n_workers: processes.
        n_threads: of each.
        home: folder for what they share.
    """
    with (
        scratch_folder(home) as folder,
        ThreadPoolExecutor(n_workers, thread_name_prefix="fits") as threads,
        WorkerPool("mfcore.evaluation.worker", folder, n_threads) as pool,
    ):
        Parts.of(evaluator).save(folder)
        numbers = count()

        def fit(candidate: Candidate) -> Fit:
            to = folder / f"fit-{next(numbers):04d}"
            worker = pool.take()
            worker.say({"candidate": candidate.model_dump(mode="json"), "to": str(to)})
            said = worker.read()
            pool.give(worker)
            if "diverged" in said:
                raise TrainingDiverged(said["diverged"])
            return Fit.load(to, said["seconds"])

        def fits(candidates: Iterable[Candidate]) -> Iterator[Fit]:
            sent: list[Future[Fit]] = []
            for candidate in candidates:
                sent.append(threads.submit(fit, candidate))
                if len(sent) > n_workers * (1 + _AHEAD):
                    yield sent.pop(0).result()
            for future in sent:
                yield future.result()

        yield fits
