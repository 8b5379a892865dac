"""Ratings split into train, validation and test, so that nothing of a later part is in an earlier one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfcore.config import SplitConfig
from mfcore.data.ratings import Ratings
from mfcore.errors import SourceUnavailable, UsageError, counted
from mfcore.storage.arrays import load_array

__all__ = ["Split", "split"]

Rows = NDArray[np.int64]
Parts = NDArray[np.int8]
"""The part of each rating: 0 train, 1 validation, 2 test."""
Dropped = dict[str, int]

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

    @property
    def known(self) -> Rows:
        """Train and validation together: what finalists are trained on."""
        return np.sort(np.concatenate((self.train, self.validation)))

    def save(self, folder: Path) -> None:
        """Write the parts into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for part in _PARTS:
            np.save(folder / f"{part}.npy", getattr(self, part), allow_pickle=False)
        (folder / "dropped.json").write_text(json.dumps(self.dropped, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Split":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: a file is missing, or holds what no split has.
        """
        train, validation, test = (load_array(folder / f"{part}.npy", np.int64, (None,)) for part in _PARTS)
        for part, rows in zip(_PARTS, (train, validation, test), strict=True):
            if len(rows) and not (rows[0] >= 0 and (rows[1:] > rows[:-1]).all()):
                raise SourceUnavailable(f"{folder / part}.npy holds no ascending row numbers.")
        return cls(train, validation, test, json.loads((folder / "dropped.json").read_text(encoding="utf-8")))


def split(ratings: Ratings, config: SplitConfig | None = None) -> Split:
    """Part `ratings` as `config` says, at random by default; the same ratings and configuration give the same parts.

    Raises:
        UsageError: a part would be empty, or a split by time is asked of ratings without times.

    >>> from mfcore.data.ratings import Scale
    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(20, 10, 100).frame, Scale(1, 5, 1))
    >>> parts = split(ratings, SplitConfig())
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (80, 10, 10)
    """
    config = config or SplitConfig()
    part_of, dropped = _METHODS[config.method](ratings, config)
    parts = {name: np.flatnonzero(part_of == number) for number, name in enumerate(_PARTS)}
    for name, rows in parts.items():
        if not len(rows):
            raise UsageError(
                f"the {config.method} split of {counted(len(ratings), 'rating')} leaves {name} empty: "
                "bring more ratings, or change the method or its settings in [split]."
            )
    return Split(parts["train"], parts["validation"], parts["test"], dropped)


def _random(ratings: Ratings, config: SplitConfig) -> tuple[Parts, Dropped]:
    """Each rating's part drawn at random, the parts' sizes being exact."""
    n = len(ratings)
    order = np.random.default_rng(config.seed).permutation(n)
    n_test, n_validation = round(config.test * n), round(config.validation * n)
    part_of = np.zeros(n, np.int8)
    part_of[order[:n_test]] = 2
    part_of[order[n_test : n_test + n_validation]] = 1
    return part_of, {}


def _k_fold(ratings: Ratings, config: SplitConfig) -> tuple[Parts, Dropped]:
    """Test is one of `n_folds` parts that are drawn at random and differ by one rating at most.

    Validation is drawn from the rest. The folds of one seed have no rating in common, and
    together hold all.
    """
    rng = np.random.default_rng(config.seed)
    folds = np.array_split(rng.permutation(len(ratings)), config.n_folds)
    test = folds.pop(config.fold)
    rest = np.concatenate(folds)
    part_of = np.zeros(len(ratings), np.int8)
    part_of[test] = 2
    n_validation = round(config.validation * len(ratings))
    part_of[rng.permutation(rest)[:n_validation]] = 1
    return part_of, {}


def _leave_k_out(ratings: Ratings, config: SplitConfig) -> tuple[Parts, Dropped]:
    """Of each user k ratings for test and k for validation, drawn at random.

    A user with fewer than 2k + 1 ratings would have none left to train on, and so stays
    in train whole.
    """
    k = np.full(ratings.n_users, config.leave_k)
    return _of_each_user(ratings, k, k, config.seed, f"fewer than {2 * config.leave_k + 1} ratings")


def _share(ratings: Ratings, config: SplitConfig) -> tuple[Parts, Dropped]:
    """Of each user the same share of ratings for test, and for validation, rounded to whole ratings."""
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    n_test = np.floor(config.test * counts + 0.5).astype(np.int64)
    n_validation = np.floor(config.validation * counts + 0.5).astype(np.int64)
    return _of_each_user(ratings, n_validation, n_test, config.seed, "too few ratings for a share")


def _of_each_user(
    ratings: Ratings, n_validation: Rows, n_test: Rows, seed: int, why_whole: str
) -> tuple[Parts, Dropped]:
    """So many ratings of each user, by code; a user who would have none left in train stays there whole."""
    place, counts = _places(ratings, np.random.default_rng(seed))
    held_out = n_validation + n_test
    is_parted = (held_out > 0) & (held_out < counts)
    n_test, held_out = n_test * is_parted, held_out * is_parted
    part_of = np.zeros(len(ratings), np.int8)
    part_of[place < held_out[ratings.users]] = 1
    part_of[place < n_test[ratings.users]] = 2
    n_whole = int(((counts > 0) & ~is_parted).sum())
    return part_of, {f"users left whole in train: {why_whole}": n_whole} if n_whole else {}


def _places(ratings: Ratings, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Each rating's place (from 0) in a random order of its user's ratings, and the users' counts."""
    order = rng.permutation(len(ratings))
    order = order[np.argsort(ratings.users[order], kind="stable")]
    counts = np.bincount(ratings.users, minlength=ratings.n_users)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(ratings), np.int64)
    place[order] = np.arange(len(ratings)) - np.repeat(starts, counts)
    return place, counts


def _by_time(ratings: Ratings, config: SplitConfig) -> tuple[Parts, Dropped]:
    """Everything before one moment is train, everything from a second one on is test.

    The moments are given, or are the times at the quantiles of the shares. Ratings of the
    same second stay together, so that each part ends strictly before the next begins.
    """
    if ratings.times is None:
        raise UsageError('a split by time needs times, and these ratings have none: set split.method = "random".')
    moments = config.moments
    if moments is None:
        times = np.sort(ratings.times)
        last = len(times) - 1
        shares = (1 - config.test - config.validation, 1 - config.test)
        # The second that a share's end falls into belongs to the later part whole.
        first, second = (int(times[min(last, round(share * len(times)))]) for share in shares)
        moments = (first, second)
    part_of = (ratings.times >= moments[0]).astype(np.int8)
    part_of[ratings.times >= moments[1]] = 2
    return part_of, {}


_METHODS: dict[str, Callable[[Ratings, SplitConfig], tuple[Parts, Dropped]]] = {
    "random": _random,
    "k-fold": _k_fold,
    "leave-k-out": _leave_k_out,
    "share": _share,
    "time": _by_time,
}
