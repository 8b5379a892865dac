"""`Factors`: the one thing every trainer returns and everything exported is made from."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Ids, Scale, load_ids, save_ids
from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.models.foldin import Part
from mfcore.storage.arrays import load_array

__all__ = ["Factors", "Link"]

Link = Literal["identity", "logistic"]

_GATHERED = 1 << 22
"""Floats gathered at a time for each side when pairs are predicted: 16 MB."""


@dataclass(frozen=True, eq=False)
class Factors:
    r"""Biases and factor matrices of a matrix factorization.

    The score of user u and item i is

        s(u, i) = μ + b_u + b_i + x_u · y_i

    and the predicted rating is s clipped to the scale (link "identity"), or
    min + (max − min) / (1 + exp(−s)) (link "logistic"). An unknown user or item (code −1)
    has bias and factors 0, so that what is known of the other one still counts. Where scores are
    made for lists, a user with no bias and no factors, of whom nothing is known, is predicted each
    item's mean rating instead.

    Attributes:
        global_mean: μ.
        user_bias: float32, (n_users,).
        item_bias: float32, (n_items,).
        user_factors: float32, (n_users, k); row u is x_u.
        item_factors: float32, (n_items, k); row i is y_i.
        user_ids: (n_users,); the id of each code.
        item_ids: (n_items,).
        scale: the rating scale.
        link: how scores become ratings.
        parts: how a new user's row is solved for; without any, nothing is learned of a new user.
        n_draws: S; where it is more than 1, the columns are S equal groups, each a draw from the
            posterior over S, and `deviation` tells how far the draws are apart.
        item_means: float32, (n_items + 1,), where scores are made for lists: each item's mean rating and, last, that
            of an unknown item; else None.

    Raises:
        ValueError: shapes or dtypes that don't fit together, an unknown link, or a scale that is none.
    """

    global_mean: float
    user_bias: NDArray[np.float32]
    item_bias: NDArray[np.float32]
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    user_ids: Ids
    item_ids: Ids
    scale: Scale
    link: Link = "identity"
    parts: tuple[Part, ...] = ()
    n_draws: int = 1
    item_means: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.link not in get_args(Link):
            raise ValueError(f"unknown link {self.link!r}")
        if not -math.inf < self.scale.minimum <= self.scale.maximum < math.inf:
            raise ValueError(f"no scale goes from {self.scale.minimum} to {self.scale.maximum}")
        n_users, n_items = len(self.user_ids), len(self.item_ids)
        expected = {
            "user_bias": (n_users,),
            "item_bias": (n_items,),
            "user_factors": (n_users, self.n_factors),
            "item_factors": (n_items, self.n_factors),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype}{list(array.shape)}, not float32{list(shape)}")
        if self.n_draws < 1 or self.n_factors % self.n_draws:
            raise ValueError(f"{self.n_factors} columns are not {self.n_draws} equal groups")
        if self.parts and sum(part.columns for part in self.parts) != self.n_factors:
            raise ValueError(f"the parts don't take {self.n_factors} columns together")

    def __repr__(self) -> str:
        shape = f"{len(self.user_ids):,} users, {len(self.item_ids):,} items"
        return f"Factors({shape}, {self.n_factors} columns, {self.link})"

    @property
    def n_factors(self) -> int:
        """Length k of a factor row."""
        return int(self.user_factors.shape[1])

    def predict(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Predicted ratings of (user, item) pairs given by code; never NaN, always on the scale."""
        ratings = self.to_ratings(self.pair_scores(users, items))
        if self.item_means is not None:
            # The last one answers for code −1.
            nothing_known = np.append(~self.user_factors.any(axis=1) & (self.user_bias == 0), True)
            unknown = nothing_known[users]
            ratings[unknown] = self.scale.clip(self.item_means[items[unknown]])
        return ratings

    def pair_scores(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of (user, item) pairs given by code, before link and clipping."""
        scores = np.empty(len(users), dtype=np.float32)
        for part in self._chunks(len(users)):
            u, i = users[part], items[part]
            some = np.einsum("nk,nk->n", _rows(self.user_factors, u), _rows(self.item_factors, i))
            some += np.float32(self.global_mean)
            some += _rows(self.user_bias, u)
            some += _rows(self.item_bias, i)
            scores[part] = some
        return scores

    def list_scores(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of lists, (len(users), k), one a user; NaN where an item is −1."""
        listed = items >= 0
        scores = np.full(items.shape, np.nan, np.float32)
        scores[listed] = self.pair_scores(np.broadcast_to(users[:, None], items.shape)[listed], items[listed])
        return scores

    def _chunks(self, n: int) -> Iterator[slice]:
        """Slices of n pairs few enough for their rows to be gathered at once."""
        step = max(1, _GATHERED // max(1, self.n_factors))
        return (slice(start, start + step) for start in range(0, n, step))

    def scores(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores of every item for each of `users` by code: (len(users), n_items), before link and clipping."""
        scores: NDArray[np.float32] = self.rows(users) @ self.item_factors.T
        scores += self.item_bias
        scores += self.offsets(users)[:, None]
        return scores

    def rows(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """x_u of each of `users`, (len(users), k); zeros for −1."""
        return _rows(self.user_factors, users)

    def offsets(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """μ + b_u of each of `users`."""
        offsets: NDArray[np.float32] = np.float32(self.global_mean) + _rows(self.user_bias, users)
        return offsets

    def deviation(self, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.float32]:
        """Standard deviation of the scores of (user, item) pairs over posterior draws.

        How unsure the model is of the score itself, the noise of single ratings not counted. 0
        for models that keep one draw, as all but BPMF do.
        """
        width = self.n_factors // self.n_draws
        deviations = np.zeros(len(users), dtype=np.float32)
        for part in self._chunks(len(users) if self.n_draws > 1 else 0):
            x, y = _rows(self.user_factors, users[part]), _rows(self.item_factors, items[part])
            draws = np.einsum("nsk,nsk->ns", *(matrix.reshape(len(x), self.n_draws, width) for matrix in (x, y)))
            deviations[part] = self.n_draws * draws.std(axis=1)
        return deviations

    def deviations(self, users: NDArray[np.int32]) -> NDArray[np.float32]:
        """`deviation` of each of `users` with every item, (len(users), n_items)."""
        if self.n_draws == 1:
            return np.zeros((len(users), len(self.item_ids)), np.float32)
        width = self.n_factors // self.n_draws
        x = self.n_draws * _rows(self.user_factors, users)
        total = np.zeros((len(users), len(self.item_ids)))
        squares = np.zeros_like(total)
        for first in range(0, self.n_factors, width):
            draw = x[:, first : first + width] @ self.item_factors[:, first : first + width].T
            total += draw
            squares += np.square(draw, dtype=np.float64)
        variance = squares / self.n_draws - np.square(total / self.n_draws)
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)

    def fold_in(self, items: NDArray[np.int32], values: NDArray[np.float32], user_id: str = "new") -> "Factors":
        """The same model over one new user, code 0, who gave `values` to `items`.

        The user's row is solved by the closed form of the trainer; items are not changed. Of an
        item given twice the last value counts, and unknown items (code −1) are passed over.

        Raises:
            UsageError: a value that is not on the scale.
        """
        values = np.asarray(values, np.float32)
        if not np.array_equal(values, self.scale.clip(values)):
            raise UsageError(
                f"ratings to fold in must lie between {self.scale.minimum:g} and {self.scale.maximum:g}, "
                f"not {values.min():g} to {values.max():g}."
            )
        last = dict(zip(np.asarray(items).tolist(), values.astype(np.float64).tolist(), strict=True))
        last.pop(-1, None)
        codes, targets = np.array(list(last), np.int32), self._targets(np.array(list(last.values())))
        solved = [
            part.solve(self.item_factors[:, own], codes, targets, self.link == "logistic") for part, own in self._own()
        ]
        weights = np.array([part.weight for part in self.parts])
        bias = float(weights @ [row[-1] for row in solved]) if self.parts else 0.0
        mean_bias = bias / weights.sum() if weights.any() else 0.0
        columns = np.zeros(self.n_factors)
        for (part, own), row in zip(self._own(), solved, strict=True):
            spare = [row[-1] - mean_bias, 1.0] if part.columns > part.n_factors else []
            columns[own] = part.weight * np.append(row[:-1], spare)
        return replace(
            self,
            user_bias=np.array([bias], np.float32),
            user_factors=columns[None].astype(np.float32),
            user_ids=np.array([user_id], dtype=object),
        )

    def contributions(
        self, items: NDArray[np.int32], values: NDArray[np.float32], to: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        r"""What each rating of a user brings to x · y_i, x being the row that `fold_in` finds for them.

        The contributions add up to x · y_i, less, for a posterior mean with biases, what its draws add for the
        item whoever the user is.

        Args:
            items: codes, each known and given once.
            values: the ratings, on the scale.
            to: codes of the items i.

        Returns:
            float64 (len(to), len(items))
        """
        targets = self._targets(np.asarray(values, np.float64))
        contributions = np.zeros((len(to), len(items)))
        biases, drawn = np.zeros(len(items)), np.zeros(len(to))
        for part, own in self._own():
            columns, k = self.item_factors[:, own], part.n_factors
            # The last line asks for the bias.
            toward = np.zeros((len(to) + 1, k + 1))
            toward[:-1, :k], toward[-1, k] = columns[to, :k], 1
            if part.columns > k:
                toward[:-1, k] = columns[to, k]
                drawn += part.weight * toward[:-1, k]
            brought = part.brought(columns, items, targets, self.link == "logistic", toward)
            contributions += part.weight * brought[:-1]
            biases += part.weight * brought[-1]
        weight = sum(part.weight for part in self.parts)
        if weight and drawn.any():
            contributions -= np.outer(drawn, biases / weight)
        return contributions

    def _targets(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ratings as `Part.solve` takes them."""
        return values if self.link == "identity" else (values - self.scale.minimum) / (self.scale.width or 1.0)

    def _own(self) -> Iterator[tuple[Part, slice]]:
        """Each part with its columns."""
        first = 0
        for part in self.parts:
            yield part, slice(first, first + part.columns)
            first += part.columns

    def to_ratings(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map scores onto the rating scale."""
        if self.link == "identity":
            return self.scale.clip(scores)
        unit = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
        ratings: NDArray[np.float32] = (self.scale.minimum + self.scale.width * unit).astype(np.float32)
        return ratings

    def save(self, folder: Path) -> None:
        """Write arrays, ids and scale into `folder`; `load` gives the same bits."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("user_bias", "item_bias", "user_factors", "item_factors"):
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        save_ids(folder / "user_ids.parquet", self.user_ids)
        save_ids(folder / "item_ids.parquet", self.item_ids)
        head = {
            "global_mean": self.global_mean,
            "link": self.link,
            "scale": asdict(self.scale),
            "n_draws": self.n_draws,
            "parts": [part.save(folder, f"part-{number:03d}") for number, part in enumerate(self.parts)],
        }
        if self.item_means is not None:
            np.save(folder / "item_means.npy", self.item_means, allow_pickle=False)
        (folder / "factors.json").write_text(json.dumps(head), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Factors":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: a file is missing, or holds what no model has.
        """
        path = folder / "factors.json"
        try:
            return cls._read(folder, json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise SourceUnavailable(f"{error.filename or path} can't be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise SourceUnavailable(f"{path} doesn't describe a model: {first_line(error)}.") from error

    @classmethod
    def _read(cls, folder: Path, head: dict[str, Any]) -> "Factors":
        scale = Scale(**head["scale"])
        # Of a trained one this is not asked: training says itself where it diverged.
        if not math.isfinite(head["global_mean"]):
            raise ValueError("its mean is not finite")
        user_ids, item_ids = load_ids(folder / "user_ids.parquet"), load_ids(folder / "item_ids.parquet")
        shapes: dict[str, tuple[int | None, ...]] = {
            "user_bias": (len(user_ids),),
            "item_bias": (len(item_ids),),
            "user_factors": (len(user_ids), None),
            "item_factors": (len(item_ids), None),
        }
        if (folder / "item_means.npy").exists():
            shapes["item_means"] = (len(item_ids) + 1,)
        arrays = {name: load_array(folder / f"{name}.npy", np.float32, shape) for name, shape in shapes.items()}
        parts = [
            Part.load(folder, f"part-{number:03d}", part, len(item_ids)) for number, part in enumerate(head["parts"])
        ]
        return cls(
            global_mean=head["global_mean"],
            link=head["link"],
            scale=scale,
            n_draws=head["n_draws"],
            parts=tuple(parts),
            user_ids=user_ids,
            item_ids=item_ids,
            **arrays,
        )


def _rows(array: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """The rows of `codes`; zeros for code −1."""
    if len(array) == 0:
        return np.zeros((len(codes), *array.shape[1:]), np.float32)
    rows = array.take(codes, 0, mode="clip")
    rows[codes < 0] = 0
    return rows
