"""What trials are trained on and scored on: one part held out or folds, as workers share them."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfcore.config import TuningConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import NothingRelevant, UsageError
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick

__all__ = ["Fold", "folds_of", "measurable", "sampled", "share", "shared"]

logger = logging.getLogger(__name__)

_FEW, _FEW_USERS = 1000, 200
"""Validation ratings, and users whose lists are measured: with fewer, another draw changes more than recipes do."""

Fold = tuple[Ratings, Ratings]
"""What is trained on, and what is held out; over the same ids."""


def sampled(train: Ratings, validation: Ratings, config: TuningConfig) -> Fold:
    """Both parts' ratings of the users that `config.sample` draws, over these users alone and all items.

    Users are drawn evenly from those with ratings in either part, so that a sample is as sparse by user as the
    whole, while items have fewer ratings.

    Raises:
        UsageError: they leave one of the parts empty.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(40, 30, 600).frame, Scale(1, 5, 1))
    >>> parts = ratings.take(np.arange(0, 600, 2)), ratings.take(np.arange(1, 600, 2))
    >>> [part.n_users for part in sampled(*parts, TuningConfig(sample=0.25))]
    [10, 10]
    """
    if config.sample is None:
        return train, validation
    has_any = np.bincount(train.users, minlength=train.n_users) > 0
    has_any[validation.users] = True
    known = np.flatnonzero(has_any)
    n = config.sample if isinstance(config.sample, int) else max(1, round(config.sample * len(known)))
    if n >= len(known):
        return train, validation
    drawn = np.sort(np.random.default_rng(config.seed).choice(known, n, replace=False))
    code_of = np.full(train.n_users, -1, np.int32)
    code_of[drawn] = np.arange(n)
    of_drawn = [_of_users(part, code_of, drawn) for part in (train, validation)]
    if not all(map(len, of_drawn)):
        raise UsageError(
            f"tuning.sample = {config.sample}: the {n} users that are drawn have {len(of_drawn[0])} training and "
            f"{len(of_drawn[1])} validation ratings, too few to tune on. Draw more of the {len(known):,} users."
        )
    return of_drawn[0], of_drawn[1]


def _of_users(ratings: Ratings, code_of: NDArray[np.int32], drawn: NDArray[np.int64]) -> Ratings:
    """The ratings of the users `drawn`, renumbered by `code_of`, −1 standing for the others."""
    codes = code_of[ratings.users]
    rows = np.flatnonzero(codes >= 0)
    return replace(
        ratings,
        users=codes[rows],
        items=ratings.items[rows],
        values=ratings.values[rows],
        times=None,
        user_ids=ratings.user_ids[drawn],
    )


def folds_of(train: Ratings, validation: Ratings, config: TuningConfig, yardstick: Yardstick) -> list[Fold]:
    """The parts or, with k-fold validation, `n_folds` folds drawn from both together; of `sampled` users.

    Which of the two, where the configuration leaves it open: folds for fewer than 1,000 validation
    ratings, or, for lists, fewer than 200 users that have training ratings and liked a validation item.
    A split by time can leave so few: on MovieLens 100K 70 of 186, the others being new.
    The held-out parts of folds have no rating in common, hold all together, and differ in size
    by one rating at most.

    Raises:
        UsageError: users that are drawn leave nothing to tune on.
    """
    train, validation = sampled(train, validation, config)
    few = _few(train, validation, yardstick)
    if config.validation == "single" or (config.validation == "auto" and few is None):
        return [(train, validation)]
    if config.validation == "auto":
        logger.info(
            "%s: %s are few to choose by: trials are scored on %d folds of train and validation",
            yardstick.objective,
            few,
            config.n_folds,
        )
    both = replace(
        train,
        users=np.concatenate((train.users, validation.users)),
        items=np.concatenate((train.items, validation.items)),
        values=np.concatenate((train.values, validation.values)),
        times=None,
    )
    parts = np.array_split(np.random.default_rng(config.seed).permutation(len(both)), config.n_folds)
    rows = np.arange(len(both))
    return [(both.take(np.delete(rows, held_out)), both.take(np.sort(held_out))) for held_out in parts]


def _few(train: Ratings, validation: Ratings, yardstick: Yardstick) -> str | None:
    """What there is too little of to choose by, with its number; None where there is enough."""
    if len(validation) < _FEW:
        return f"{len(validation)} validation ratings"
    if yardstick.objective is Objective.RANKING:
        n_users = len(np.intersect1d(yardstick.users(validation), train.users))
        if n_users < _FEW_USERS:
            return f"{n_users} users with training ratings who liked a validation item"
    return None


def measurable(folds: list[Fold], yardstick: Yardstick) -> list[Fold]:
    """Those of the folds that have something to measure by: of few ratings, a fold may hold nothing that was liked.

    Raises:
        NothingRelevant: none has.
    """
    measured, missing = [], None
    for fold in folds:
        try:
            yardstick.on(*fold)
            measured.append(fold)
        except NothingRelevant as error:
            missing = error
    if not measured and missing is not None:
        raise missing
    return measured


def share(folds: list[Fold], folder: Path) -> None:
    """Write the arrays of `folds` into `folder`; workers map them into memory."""
    for number, fold in enumerate(folds):
        for name, part in zip(("train", "held_out"), fold, strict=True):
            # Training needs no times, and of ids only how many there are.
            plain = replace(part, times=None, user_ids=np.arange(part.n_users), item_ids=np.arange(part.n_items))
            plain.save(folder / f"fold-{number:04d}" / name)


def shared(folder: Path) -> list[Fold]:
    """The folds in `folder`, whose memory all processes share."""

    def of(fold: Path, part: str) -> Ratings:
        return Ratings.load(fold / part, mapped=True)

    return [(of(fold, "train"), of(fold, "held_out")) for fold in sorted(folder.glob("fold-*"))]
