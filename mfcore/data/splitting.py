"""Ratings parted into train, validation and test, so that nothing of a later part is in an earlier one."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import UsageError

__all__ = ["Split", "split"]

Rows = NDArray[np.int64]

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Which rows of a `Ratings` belong to which part.

    Attributes:
        train: int64, ascending row numbers.
        validation: what tuning is measured on.
        test: what finalists are measured on, once.
        dropped: what the method could not do as asked, as reason → count.
    """

    train: Rows
    validation: Rows
    test: Rows
    dropped: dict[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the parts into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for part in _PARTS:
            np.save(folder / f"{part}.npy", getattr(self, part), allow_pickle=False)
        (folder / "dropped.json").write_text(json.dumps(self.dropped, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Split":
        """Read what `save` wrote."""
        train, validation, test = (np.load(folder / f"{part}.npy", allow_pickle=False) for part in _PARTS)
        return cls(train, validation, test, json.loads((folder / "dropped.json").read_text(encoding="utf-8")))


def split(ratings: Ratings, config: SplitConfig) -> Split:
    """Part `ratings` as `config` says; the same ratings and configuration give the same parts.

    Raises:
        UsageError: a part would be empty, or a split by time is asked of ratings without times.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(20, 10, 100).frame, Scale(1, 5, 1))
    >>> parts = split(ratings, SplitConfig())
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (80, 10, 10)
    """
    methods = {"random": _random, "leave-k-out": _leave_k_out, "time": _by_time}
    part_of, dropped = methods[config.method](ratings, config)
    parts = {name: np.flatnonzero(part_of == number) for number, name in enumerate(_PARTS)}
    for name, rows in parts.items():
        if not len(rows):
            raise UsageError(
                f"the {config.method} split of {len(ratings)} ratings leaves {name} empty: "
                "bring more ratings, or change the shares or the method in [split]."
            )
    return Split(parts["train"], parts["validation"], parts["test"], dropped)


def _random(ratings: Ratings, config: SplitConfig) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Each rating's part drawn at random, the parts' sizes being exact."""
    n = len(ratings)
    order = np.random.default_rng(config.seed).permutation(n)
    n_test, n_validation = round(config.test * n), round(config.validation * n)
    part_of = np.zeros(n, np.int8)
    part_of[order[:n_test]] = 2
    part_of[order[n_test : n_test + n_validation]] = 1
    return part_of, {}


def _leave_k_out(ratings: Ratings, config: SplitConfig) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Of each user k ratings for test and k for validation, drawn at random.

    A user with fewer than 2k + 1 ratings would have none left to train on, and so stays
    in train whole.
    """
    k = config.leave_k
    place, counts = _places(ratings, np.random.default_rng(config.seed))
    enough = counts >= 2 * k + 1
    part_of = np.zeros(len(ratings), np.int8)
    held_out = enough[ratings.users]
    part_of[held_out & (place < 2 * k)] = 1
    part_of[held_out & (place < k)] = 2
    n_whole = int(((counts > 0) & ~enough).sum())
    reason = f"users left whole in train, with fewer than {2 * k + 1} ratings"
    return part_of, {reason: n_whole} if n_whole else {}


def _places(ratings: Ratings, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Each rating's place (from 0) in a random order of its user's ratings, and the users' counts."""
    order = rng.permutation(len(ratings))
    order = order[np.argsort(ratings.users[order], kind="stable")]
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(ratings), np.int64)
    place[order] = np.arange(len(ratings)) - np.repeat(starts, counts)
    return place, counts


def _by_time(ratings: Ratings, config: SplitConfig) -> tuple[NDArray[np.int8], dict[str, int]]:
    """Everything before one moment is train, everything from a second one on is test.

    The moments are the times at the quantiles of the shares, and ratings of the same second
    stay together, so that each part ends strictly before the next begins.
    """
    if ratings.times is None:
        raise UsageError("a split by time needs times, and these ratings have none: set split.method = \"random\".")
    times = np.sort(ratings.times)
    n = len(times)
    # The first second of a part belongs to it whole: it is the last that its share reaches into.
    validation_from = times[min(n - 1, round((1 - config.test - config.validation) * n))]
    test_from = times[min(n - 1, round((1 - config.test) * n))]
    part_of = (ratings.times >= validation_from).astype(np.int8)
    part_of[ratings.times >= test_from] = 2
    return part_of, {}
