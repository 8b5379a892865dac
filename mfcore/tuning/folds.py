"""What trials are trained on and scored on: one part held out or folds, as workers share them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mfcore.config import TuningConfig
from mfcore.data.ratings import Ratings

__all__ = ["Fold", "folds_of", "share", "shared"]

Fold = tuple[Ratings, Ratings]
"""What is trained on, and what is held out; over the same ids."""


def folds_of(train: Ratings, validation: Ratings, config: TuningConfig) -> list[Fold]:
    """The parts as they are or, with k-fold validation, `n_folds` folds drawn from both together.

    The held-out parts of folds have no rating in common, hold all together, and differ in size
    by one rating at most.
    """
    if config.validation == "single":
        return [(train, validation)]
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


def share(folds: list[Fold], folder: Path) -> None:
    """Write the arrays of `folds` into `folder` for workers to map into memory."""
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
