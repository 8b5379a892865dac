"""Solving a new user's row from their ratings alone, with the trainer's own closed form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.errors import SourceUnavailable
from mfcore.storage.arrays import load_array

__all__ = ["Part"]

_STEPS = 50
"""Gauss–Newton steps at most; a handful is enough unless ratings lie on the ends of the scale."""

_PASSES = 2000
"""Passes of coordinate descent over a non-negative row at most."""


@dataclass(frozen=True, eq=False)
class Part:
    r"""How one model, or one draw of a model, solves a user's row.

    `Factors` are a weighted sum of parts: an ordinary model has one, a posterior mean one for
    each draw, a blend those of its members. With ỹ_i = [y_i; 1] and residuals
    e_i = r_i − μ − b_i, a user who rated the items I gets

        [x; b] = ((1 − w) Σ_{i∈I} (ỹ_i ỹ_iᵀ + V_i) + G + |I|^γ P)⁻¹ Σ_{i∈I} (e_i ỹ_i − V_i c)

    where w is the weight of pairs without a rating and G = w Σ_i (y_i y_iᵀ + V_i) over all items; or, of a
    model kept from going below zero, the x ≥ 0 and b that minimize what this is the least of.

    Attributes:
        columns: how many factor columns the part takes, one after another; the first
            `len(precision) − 1` are solved for, and where two more follow they carry b less the
            mean bias over parts, and 1.
        weight: what the part counts for; the user's columns hold x times it.
        global_mean: μ.
        item_bias: b_i, float32, (n_items,).
        precision: P, float32, (k + 1, k + 1), bias last; infinity there leaves the bias out.
        exponent: γ.
        item_variance: diagonals of V_i, float32, (n_items, k); None where the model keeps none.
        center: c, float32, (k,), which was taken off the users' rows; given with `item_variance`.
        basis: q_i, float32, (n_items, k), of a model that is linear in the residuals: there b is
            solved for alone and x = |I|^γ Σ_{i∈I} (e_i − b) q_i.
        missing_weight: w.
        gram: G, float32, (k, k); None where w is 0.
        nonnegative: whether x is kept from going below zero.
        confidence: α, of a model whose pairs weigh (1 + α |z|) w with z = e / `unit`, and count as `unit` where z > 0,
            else as 0; None: all ratings weigh 1 and count as what they are.
        unit: see `confidence`.
    """

    columns: int
    weight: float
    global_mean: float
    item_bias: NDArray[np.float32]
    precision: NDArray[np.float32]
    exponent: float
    item_variance: NDArray[np.float32] | None = None
    center: NDArray[np.float32] | None = None
    basis: NDArray[np.float32] | None = None
    missing_weight: float = 0.0
    gram: NDArray[np.float32] | None = None
    nonnegative: bool = False
    confidence: float | None = None
    unit: float = 1.0

    @property
    def n_factors(self) -> int:
        """Length k of the row that is solved for, less its bias."""
        return len(self.precision) - 1

    def solve(
        self, item_factors: NDArray[np.float32], items: NDArray[np.int32], values: NDArray[np.float64], logistic: bool
    ) -> NDArray[np.float64]:
        """The row [x; b], float64 (k + 1,), of a user who gave `values` to `items`.

        Args:
            item_factors: this part's columns, (n_items, columns).
            items: codes, each known.
            values: ratings; in units of the scale's width above its minimum if `logistic`.
            logistic: whether scores pass through 1 / (1 + exp(−s)) first; then the mode is
                found by Gauss–Newton steps, the trainer's own.
        """
        if self.basis is not None:
            return self._project(self.basis, items, values)
        k = self.n_factors
        if len(items) == 0:
            return np.zeros(k + 1)
        equations = _Equations(self, item_factors, items, values, logistic)
        row: NDArray[np.float64] = np.zeros(equations.n_unknowns)
        for _ in range(_STEPS if logistic else 1):
            system, scaled, aims, pull = equations.at(row)
            right = scaled.T @ aims
            if pull is not None:
                right -= pull.sum(axis=0)
            before = row
            row = (
                _descended(system, right, k) if self.nonnegative else np.linalg.solve(system, right).astype(np.float64)
            )
            if np.abs(row - before).max(initial=0) < 1e-9:
                break
        return np.append(row, np.zeros(k + 1 - len(row)))

    def brought(
        self,
        item_factors: NDArray[np.float32],
        items: NDArray[np.int32],
        values: NDArray[np.float64],
        logistic: bool,
        toward: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """What each of the ratings brings to products t · [x; b] with the row that `solve` finds.

        The row is S⁻¹ Σ_i e_i, linear in the residuals (behind a link, in what the last step makes of them), so that
        rating i brings (S⁻ᵀ t) · e_i. Of a model kept from going below zero that is so among the entries above zero.

        Source: Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, section 5.

        Args:
            item_factors: as in `solve`, like the next three.
            items: codes, each known.
            values: ratings.
            logistic: whether scores pass through a link.
            toward: the vectors t, (m, k + 1).

        Returns:
            float64 (m, len(items)); rows add up to the products.
        """
        k = self.n_factors
        if self.basis is not None:
            basis = self.basis[items].astype(np.float64)
            errors = values - self.global_mean - self.item_bias[items]
            bias = errors / (len(items) + float(self.precision[-1, -1]))
            toward_x = toward[:, :k] * max(1.0, len(items)) ** self.exponent
            brought: NDArray[np.float64] = (toward_x @ basis.T) * errors
            brought += np.outer(toward[:, k] - toward_x @ basis.sum(axis=0), bias)
            return brought
        if len(items) == 0:
            return np.zeros((len(toward), 0))
        is_linear = not (logistic or self.nonnegative)
        row = np.zeros(k + 1) if is_linear else self.solve(item_factors, items, values, logistic)
        equations = _Equations(self, item_factors, items, values, logistic)
        n = equations.n_unknowns
        system, scaled, aims, pull = equations.at(row[:n])
        toward = toward[:, :n]
        if self.nonnegative:
            free = np.flatnonzero((row[:n] > 0) | (np.arange(n) == k))
            system, scaled, toward = system[np.ix_(free, free)], scaled[:, free], toward[:, free]
            pull = None if pull is None else pull[:, free]
        moves = np.linalg.solve(system.T, toward.T).T
        brought = moves @ scaled.T
        brought *= aims
        if pull is not None:
            brought -= moves @ pull.T
        return brought

    def _project(
        self, basis: NDArray[np.float32], items: NDArray[np.int32], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        errors = values - self.global_mean - self.item_bias[items]
        bias = errors.sum() / (len(items) + float(self.precision[-1, -1]))
        x = (errors - bias) @ basis[items].astype(np.float64) * max(1.0, len(items)) ** self.exponent
        return np.append(x, bias)

    def save(self, folder: Path, name: str) -> dict[str, Any]:
        """Write the arrays to `folder` as `name`-….npy; what is left, as JSON has it."""
        arrays = {"item_bias": self.item_bias, "precision": self.precision}
        for field in ("item_variance", "center", "basis", "gram"):
            if getattr(self, field) is not None:
                arrays[field] = getattr(self, field)
        for field, array in arrays.items():
            np.save(folder / f"{name}-{field}.npy", array, allow_pickle=False)
        head = {"columns": self.columns, "weight": self.weight, "global_mean": self.global_mean}
        how = {"exponent": self.exponent, "missing_weight": self.missing_weight, "nonnegative": self.nonnegative}
        confidence = {"confidence": self.confidence, "unit": self.unit}
        return {**head, **how, **confidence, "arrays": list(arrays)}

    @classmethod
    def load(cls, folder: Path, name: str, head: dict[str, Any], n_items: int) -> "Part":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: an array is missing, or is no array of this part.
        """
        fields = {field: value for field, value in head.items() if field != "arrays"}
        # Infinity there leaves the bias out.
        precision = load_array(folder / f"{name}-precision.npy", np.float32, (None, None), finite=False)
        k = len(precision) - 1
        if precision.shape != (k + 1, k + 1) or not np.isfinite(precision[:k, :k]).all():
            raise SourceUnavailable(f"{folder / name}-precision.npy holds no precision of {k} factors.")
        shapes: dict[str, tuple[int | None, ...]] = {
            "item_bias": (n_items,),
            "item_variance": (n_items, k),
            "center": (k,),
            "basis": (n_items, None),
            "gram": (k, k),
        }
        arrays: dict[str, Any] = {
            field: load_array(folder / f"{name}-{field}.npy", np.float32, shapes[field])
            for field in head["arrays"]
            if field != "precision"
        }
        return cls(**fields, precision=precision, **arrays)


class _Equations:
    """The linear system for the row of a user who rated something; behind a link, about a row."""

    def __init__(
        self,
        part: Part,
        item_factors: NDArray[np.float32],
        items: NDArray[np.int32],
        values: NDArray[np.float64],
        logistic: bool,
    ) -> None:
        k = part.n_factors
        self.n_unknowns = m = k + 1 if np.isfinite(part.precision[k, k]) else k
        self.design = np.ones((len(items), m))
        self.design[:, :k] = item_factors.take(items, axis=0)[:, :k]
        self.prior = float(len(items)) ** part.exponent * part.precision[:m, :m].astype(np.float64)
        if part.gram is not None:
            self.prior[:k, :k] += part.gram
        self.offset = part.global_mean + part.item_bias[items].astype(np.float64)
        self.variance, self.center = None, np.zeros(m)
        if part.item_variance is not None:
            self.variance = np.zeros((len(items), m))
            self.variance[:, :k] = part.item_variance[items]
        if part.center is not None:
            self.center[:k] = part.center
        self.weight = 1 - part.missing_weight
        self.values, self.logistic = values, logistic
        self.confidence = part.confidence
        if part.confidence is not None:
            # A pair's weight beyond that of pairs without a rating is (α |z|) w; it is put into its line and its aim.
            z = (values - self.offset) / part.unit
            self.extra = np.maximum(part.confidence * np.abs(z), 1e-12) * part.missing_weight
            self.aims = np.where(z > 0, part.unit * (self.extra + part.missing_weight), 0.0)

    def at(
        self, row: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
        """The matrix S (m, m), and of each rating its line d (n, m), aim a (n,) and pull p (n, m); None: no pulls.

        The row solves S x = Σ_i (a_i d_i − p_i).
        """
        if self.confidence is not None:
            scaled = self.design * np.sqrt(self.extra)[:, None]
            return scaled.T @ scaled + self.prior, scaled, self.aims / np.sqrt(self.extra), None
        scaled, aims, variance = self.design, self.values - self.offset, self.variance
        if self.logistic:
            inner = self.design @ row
            fit = 1 / (1 + np.exp(-(self.offset + inner)))
            slope = np.maximum(fit * (1 - fit), 1e-3)
            scaled = self.design * slope[:, None]
            aims = slope * inner + self.values - fit
            variance = None if variance is None else np.square(slope)[:, None] * variance
        system = scaled.T @ scaled
        if variance is not None:
            system += np.diag(variance.sum(axis=0))
        system *= self.weight
        system += self.prior
        return system, scaled, aims, None if variance is None else variance * self.center


def _descended(system: NDArray[np.float64], right: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The row that minimizes rowᵀ S row / 2 − row·right with its first k entries at 0 or above, by coordinates."""
    row, slope = np.zeros(len(right)), -right
    for _ in range(_PASSES):
        farthest = 0.0
        for c in range(len(row)):
            after = row[c] - slope[c] / system[c, c]
            move = (max(0.0, after) if c < k else after) - row[c]
            row[c] += move
            slope += move * system[c]
            farthest = max(farthest, abs(move))
        if farthest < 1e-9 * max(1e-9, np.abs(row).max()):
            break
    return row
