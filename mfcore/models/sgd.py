"""Stochastic gradient descent with biases."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from mfcore.data.ratings import Ratings
from mfcore.machine import one_blas_thread
from mfcore.models.base import LIST_RANGES, Range, Recommender, Training
from mfcore.models.factors import Factors
from mfcore.models.kernels.layout import Block
from mfcore.models.popularity import Popularity
from mfcore.models.prior import Prior
from mfcore.models.scaling import Missing, Units, continue_from, standard_deviation

if TYPE_CHECKING:
    from mfcore.models.kernels.turns import Turns

__all__ = ["SGD"]

Codes = NDArray[np.int32]


class SGD(Recommender):
    r"""Biased matrix factorization by stochastic gradient descent, one rating at a time.

    Ratings are standardized, z_ui = (r_ui − μ) / σ, so that a learning rate means the same on any
    scale. For each of them, with the error e = z_ui − b_u − b_i − x_u·y_i and the rate η,

        b_u ← b_u + η (e − λ_bu b_u)        x_u ← x_u + η (e y_i − λ_u x_u)
        b_i ← b_i + η (e − λ_bi b_i)        y_i ← y_i + η (e x_u − λ_i y_i)

    With `optimizer` "adam" ratings are taken `batch_size` at a time, and each row that a batch
    touches moves by Adam's rule, with moments and bias correction of its own (rows that it does
    not touch stay as they are); a `learning_rate` around 0.01 suits it.

    The rate of epoch t, counted from 0, is η · `decay`^t. Ratings lie in blocks, of a group of users and a group
    of items whose rows fit in a core's cache. An epoch takes the groups of either side in a new random order; within
    a block ratings are shuffled as a whole at first, then 4,096 at a time. A thread takes one group of users after
    another (of items, where these have more groups), and no item out of turn, so that the result has the same bits
    for any number of threads.

    With `missing_weight` w above 0, pairs without a rating count as weak ratings, as in `ALS`, biases
    left out. What they add to the objective is w Σ_all (x_u·y_i)² less w Σ_rated (x_u·y_i)². The second
    goes with the ratings, whose error becomes z_ui − (1 − w) x_u·y_i; the first has the gradient
    w YᵀY x_u. Blocks are visited in G rounds then, each of all users and all items, and after each round all rows
    of a side take an implicit step against it, x_u ← (I + (η / G) w YᵀY)⁻¹ x_u, stable at any rate. It is exact
    where sampled pairs would be noisy, and costs 2k² flops per row and round. A rate around 0.01 suits it.

    Epochs end before the descent does, so no closed form gives a trained row. A new user's row is
    the most likely one where rows are normal with the trained users' second moments about zero,
    and errors with the last epoch's mean square.

    Sources: Funk, "Netflix update: try this at home", 2006; Koren, Bell, Volinsky, "Matrix
    factorization techniques for recommender systems", IEEE Computer 42(8), 2009; Gemulla,
    Haas, Nijkamp, Sismanis, "Large-scale matrix factorization with distributed stochastic
    gradient descent", KDD 2011 (the blocks); Krichene, Mayoraz, Rendle and others, "Efficient training
    on very large corpora via Gramian estimation", ICLR 2019 (the product YᵀY in gradients); Kingma, Ba,
    "Adam: a method for stochastic optimization", ICLR 2015.

    Attributes:
        n_factors: k, length of a factor row.
        learning_rate: η; decay: what is left of it after each epoch, 1 for all.
        reg_user: λ_u; reg_item: λ_i; reg_user_bias: λ_bu; reg_item_bias: λ_bi.
        init_scale: standard deviation of factors before the first epoch.
        optimizer: "sgd" or "adam".
        batch_size: ratings of a batch, for Adam.
        missing_weight, missing_rating, popularity_weight: as in `ALS`; weak ratings with the optimizer "sgd" only.

    >>> import pandas as pd
    >>> from mfcore.data.ratings import Ratings, Scale
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5.0, 3.0, 4.0, 1.0]})
    >>> ratings = Ratings.from_frame(frame, Scale(1, 5, 1))
    >>> factors = SGD(n_factors=2, n_epochs=100, learning_rate=0.1, reg_user=0.01, reg_item=0.01).train(ratings)
    >>> bool(np.all(abs(factors.predict(ratings.users, ratings.items) - ratings.values) < 0.2))
    True
    """

    algorithm: ClassVar[str] = "sgd"
    space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(8, 128, log=True),
        "learning_rate": Range(0.01, 0.15, log=True),
        "decay": Range(0.8, 1),
        "reg_user": Range(0.01, 0.3, log=True),
        "reg_item": Range(0.01, 0.3, log=True),
        "reg_user_bias": Range(0.001, 0.1, log=True),
        "reg_item_bias": Range(0.001, 0.1, log=True),
    }
    ranking_space: ClassVar[dict[str, Range]] = {
        "n_factors": Range(12, 128, log=True),
        "learning_rate": Range(0.004, 0.03, log=True),
        "decay": Range(0.92, 1),
        "reg_user": Range(0.01, 0.5, log=True),
        "reg_item": Range(0.01, 0.5, log=True),
        **LIST_RANGES,
    }
    ranking_defaults: ClassVar[dict[str, Any]] = {
        "n_factors": 80,
        "n_epochs": 25,
        "learning_rate": 0.012,
        "decay": 0.97,
        "reg_user": 0.14,
        "reg_item": 0.09,
        "missing_weight": 0.45,
        "missing_rating": -0.08,
        "popularity_weight": 0.04,
    }

    n_factors: int = Field(32, ge=1)
    n_epochs: int = Field(40, ge=0)
    learning_rate: float = Field(0.03, gt=0)
    decay: float = Field(0.99, gt=0, le=1)
    reg_user: float = Field(0.1, ge=0)
    reg_item: float = Field(0.1, ge=0)
    reg_user_bias: float = Field(0.01, ge=0)
    reg_item_bias: float = Field(0.01, ge=0)
    missing_weight: float = Field(0.0, ge=0, le=1)
    missing_rating: float = Field(0.0, allow_inf_nan=False)
    popularity_weight: float = Field(0.0, ge=0, allow_inf_nan=False)
    init_scale: float = Field(0.01, gt=0, allow_inf_nan=False)
    optimizer: Literal["sgd", "adam"] = "sgd"
    batch_size: int = Field(64, ge=1)

    @field_validator("optimizer")
    @classmethod
    def _without_missing(cls, optimizer: str, info: ValidationInfo) -> str:
        if optimizer == "adam" and info.data.get("missing_weight"):
            raise ValueError("missing_weight works with the optimizer sgd only")
        return optimizer

    def begin(self, ratings: Ratings, start: Factors | None = None) -> Training:
        """Start from zero biases and small random factors on both sides, or from the rows of `start`."""
        return (_Adam if self.optimizer == "adam" else _Descent)(self, ratings, start)


class _Descent(Training):
    """Plain descent: ratings sorted into blocks, shuffled within them as each epoch goes."""

    def __init__(self, recommender: SGD, ratings: Ratings, start: Factors | None) -> None:
        from mfcore.models.kernels.grid import balanced_groups, n_groups_of, places_of, sort_into_blocks
        from mfcore.models.kernels.systems import padded

        self.recommender, self.ratings = recommender, ratings
        missing = Missing(recommender.missing_weight, recommender.missing_rating)
        self.units = Units.of(ratings, standard_deviation(ratings), missing)
        self.popularity = Popularity(ratings, recommender.popularity_weight, for_lists=missing.weight > 0)
        self.random = np.random.default_rng(recommender.seed)
        self.loss = float(len(ratings))
        size = padded(recommender.n_factors)
        self.shape = n_groups_of(ratings.n_users, size), n_groups_of(ratings.n_items, size)
        groups, sides = [], []
        for codes, n_rows, n in zip(
            (ratings.users, ratings.items), (ratings.n_users, ratings.n_items), self.shape, strict=True
        ):
            counts = np.bincount(codes, minlength=n_rows)
            groups.append(balanced_groups(counts, np.argsort(-counts, kind="stable"), n))
            sides.append(self._noise(counts, size))
        users, items = sides
        if start is not None:
            continue_from(start, ratings, self.units, recommender.n_factors, users, items)
        self.user_places, self.item_places = map(places_of, groups)
        self.users, self.items = users.take(np.argsort(self.user_places)), items.take(np.argsort(self.item_places))
        self.blocks = sort_into_blocks(
            ratings.users, ratings.items, self.units.values(ratings), (groups[0], groups[1]),
            (self.user_places, self.item_places), self.shape,
        )  # fmt: skip

    def _noise(self, counts: NDArray[np.int64], size: int) -> Block:
        """Small random rows, zero for those without ratings: nothing is known of them."""
        block = Block.zeros(len(counts), size)
        shape = (len(counts), self.recommender.n_factors)
        block.factors[:, : shape[1]] = np.float32(self.recommender.init_scale) * self.random.standard_normal(
            shape, dtype=np.float32
        )
        block.factors[counts == 0] = 0
        return block

    def step(self) -> None:
        """Visit every rating once."""
        from mfcore.models.kernels.sgd import PIECE, sgd_turns

        r, users, items = self.recommender, self.users, self.items
        rate = r.learning_rate * r.decay**self.epoch
        # At first the ratings of a block lie in the order in which they came: all of them are shuffled.
        piece = PIECE if self.epoch else max(1, len(self.ratings))
        arguments = (
            piece, int(self.random.integers(2**62)), users.factors.reshape(-1), users.bias, items.factors.reshape(-1),
            items.bias, users.factors.shape[1], rate, self._regs(), float(r.missing_weight),
        )  # fmt: skip
        if r.missing_weight:
            loss, n_rounds = 0.0, min(self.shape)
            with one_blas_thread():  # another number of threads would be other bits
                for turns in self._rounds():
                    loss += self._visit(sgd_turns, turns, *arguments)
                    self._pull(users.factors, items.factors, rate / n_rounds)
                    self._pull(items.factors, users.factors, rate / n_rounds)
        else:
            loss = self._visit(sgd_turns, self._wave(), *arguments)
        self._count(loss)

    def _wave(self) -> "Turns":
        """All blocks: a chain for each group of the side that has more, whose rows then stay near."""
        from mfcore.models.kernels.turns import Turns

        users, items = map(self.random.permutation, self.shape)
        blocks = users[:, None] * len(items) + items
        return Turns.of(blocks if len(users) >= len(items) else blocks.T.copy(), wait=True)

    def _rounds(self) -> Iterator["Turns"]:
        """All blocks in rounds, as many as the side with fewer groups has, each with every user and every item."""
        from mfcore.models.kernels.turns import Turns

        n_users, n_items = self.shape
        n = min(self.shape)
        chains = np.arange(n)[:, None]
        for shift in self.random.permutation(n):
            users, items = (chains + np.arange(0, most, n) for most in (n_users, n_items))
            yield Turns.of(users * n_items + (items + shift) % n_items, wait=False)

    def _regs(self) -> NDArray[np.float32]:
        r = self.recommender
        return np.array([r.reg_user, r.reg_item, r.reg_user_bias, r.reg_item_bias], np.float32)

    def _visit(self, kernel: Callable[..., int], turns: "Turns", *arguments: object) -> float:
        """Have the kernel visit blocks; the sum of squared errors met on the way."""
        from mfcore.models.kernels.threads import in_turns

        losses = np.zeros(turns.blocks.size)
        in_turns(turns, kernel, losses, *self.blocks, *arguments)
        return float(losses.sum())

    def _pull(self, own: NDArray[np.float32], other: NDArray[np.float32], rate: float) -> None:
        """An implicit step of this rate against w Σ (x·y)² over all pairs, for all rows of one side."""
        gram = self.recommender.missing_weight * (other.T @ other).astype(np.float64)
        own[:] = own @ np.linalg.inv(np.eye(len(gram)) + rate * gram).astype(np.float32)

    def _count(self, loss: float) -> None:
        """An epoch more, whose errors were finite or else."""
        self.epoch += 1
        self.loss = loss
        rate = self.recommender.learning_rate
        self.check_finite(self.recommender, f"a smaller learning_rate, such as {rate / 4:.2g}", np.array([loss]))

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        r = self.recommender
        k, w = r.n_factors, r.missing_weight
        priors = self._spread_of_users(), Prior.ridge(k, r.reg_item, r.reg_item_bias)
        gram = None
        if w:
            with one_blas_thread():
                gram = np.float32(w) * (self.items.factors[:, :k].T @ self.items.factors[:, :k])
        users, items = self.users.take(self.user_places), self.items.take(self.item_places)
        learned = self.units.factors(self.ratings, users, items, priors, exponent=0.0, gram=gram, missing_weight=w)
        return self.popularity.added_to(learned)

    def _spread_of_users(self) -> Prior:
        """Rows as the trained ones are spread about zero, in units of the noise's precision: σ² E[row rowᵀ]⁻¹.

        One more row, as small as they all were at the start, and one more rating, off by a
        standard deviation, keep it from being singular.
        """
        k = self.recommender.n_factors
        rows = np.column_stack([self.users.factors[:, :k], self.users.bias])
        with one_blas_thread():  # another number of threads would be other bits
            moment = (rows.T @ rows).astype(np.float64) + self.recommender.init_scale**2 * np.eye(k + 1)
            moment /= np.count_nonzero(rows.any(axis=1)) + 1
            noise = (self.loss + 1) / (len(self.ratings) + 1)
            precision = noise * np.linalg.inv(moment)
        if self.recommender.missing_weight:
            precision[-1, -1] = np.inf  # there are no biases: their moment stands alone
        return Prior(precision.astype(np.float32), np.zeros(k + 1, np.float32))


class _Adam(_Descent):
    """Mini-batches with Adam's moments, three times the parameters in memory."""

    def __init__(self, recommender: SGD, ratings: Ratings, start: Factors | None) -> None:
        super().__init__(recommender, ratings, start)
        self.user_side, self.item_side = self._side(self.users), self._side(self.items)

    def _side(self, block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], Codes, Codes]:
        """Factors and bias in one array, their moments, each row's number of updates and its place in a batch."""
        parameters = np.column_stack([block.factors[:, : self.recommender.n_factors], block.bias])
        steps = np.zeros(len(parameters), np.int32)
        return parameters, np.zeros_like(parameters), np.zeros_like(parameters), steps, np.full_like(steps, -1)

    def step(self) -> None:
        """Visit every rating once, a batch at a time."""
        from mfcore.models.kernels.adam import adam_turns

        r = self.recommender
        rate, seed = r.learning_rate * r.decay**self.epoch, int(self.random.integers(2**62))
        arguments = seed, self.user_side, self.item_side, r.batch_size, rate, self._regs()
        self._count(self._visit(adam_turns, self._wave(), *arguments))

    def factors(self) -> Factors:
        """A copy of both sides as they are now."""
        for block, side in ((self.users, self.user_side), (self.items, self.item_side)):
            block.factors[:, : self.recommender.n_factors] = side[0][:, :-1]
            block.bias[:] = side[0][:, -1]
        return super().factors()
