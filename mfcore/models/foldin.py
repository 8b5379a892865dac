"""Solving a new user's row from their ratings alone, with the trainer's own closed form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.storage.arrays import load_array

__all__ = ["Part"]

_STEPS = 50
"""Gauss–Newton steps at most; a handful is enough unless ratings lie on the ends of the scale."""


@dataclass(frozen=True, eq=False)
class Part:
    r"""How one model, or one draw of a model, solves a user's row.

    `Factors` are a weighted sum of parts: an ordinary model has one, a posterior mean one for
    each draw, a blend those of its members. With ỹ_i = [y_i; 1] and residuals
    e_i = r_i − μ − b_i, a user who rated the items I gets

        [x; b] = (Σ_{i∈I} (ỹ_i ỹ_iᵀ + V_i) + |I|^γ P)⁻¹ Σ_{i∈I} (e_i ỹ_i − V_i c)

    Attributes:
        columns: how many factor columns the part takes, one after another; the first
            `len(precision) − 1` are solved for, and where two more follow they carry b less the
            mean bias over parts, and 1.
        weight: what the part counts for; the user's columns hold x times it.
        global_mean: μ.
        item_bias: b_i, float32, (n_items,).
        precision: P, float32, (k + 1, k + 1), bias last.
        exponent: γ.
        item_variance: diagonals of V_i, float32, (n_items, k); None where the model keeps none.
        center: c, float32, (k,), which was taken off the users' rows; given with `item_variance`.
        basis: q_i, float32, (n_items, k), of a model that is linear in the residuals: there b is
            solved for alone and x = |I|^(−1/2) Σ_{i∈I} (e_i − b) q_i.
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
        design = np.column_stack([item_factors[items, : self.n_factors], np.ones(len(items))]).astype(np.float64)
        weight = float(len(items)) ** self.exponent
        prior = weight * self.precision.astype(np.float64)
        offset = self.global_mean + self.item_bias[items].astype(np.float64)
        variance = self.item_variance[items].astype(np.float64) if self.item_variance is not None else 0.0
        center = np.append(self.center, 0).astype(np.float64) if self.center is not None else 0.0
        row = np.zeros(self.n_factors + 1)
        if len(items) == 0:
            return row
        for _ in range(_STEPS if logistic else 1):
            slope = np.ones(len(items))
            target = values - offset
            if logistic:
                inner = design @ row
                fit = 1 / (1 + np.exp(-(offset + inner)))
                slope = np.maximum(fit * (1 - fit), 1e-3)
                target = inner + (values - fit) / slope
            scaled = design * slope[:, None]
            system = scaled.T @ scaled + prior
            uncertain = np.zeros(self.n_factors + 1)
            uncertain[:-1] = np.sum(np.square(slope)[:, None] * variance, axis=0)
            system += np.diag(uncertain)
            before, row = row, np.linalg.solve(system, scaled.T @ (slope * target) - uncertain * center)
            if np.abs(row - before).max() < 1e-9:
                break
        return row

    def _project(
        self, basis: NDArray[np.float32], items: NDArray[np.int32], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        errors = values - self.global_mean - self.item_bias[items]
        bias = errors.sum() / (len(items) + float(self.precision[-1, -1]))
        x = (errors - bias) @ basis[items].astype(np.float64) / np.sqrt(max(1, len(items)))
        return np.append(x, bias)

    def save(self, folder: Path, name: str) -> dict[str, Any]:
        """Write the arrays to `folder` as `name`-….npy; what is left, as JSON has it."""
        arrays = {"item_bias": self.item_bias, "precision": self.precision}
        for field in ("item_variance", "center", "basis"):
            if getattr(self, field) is not None:
                arrays[field] = getattr(self, field)
        for field, array in arrays.items():
            np.save(folder / f"{name}-{field}.npy", array, allow_pickle=False)
        head = {"columns": self.columns, "weight": self.weight, "global_mean": self.global_mean}
        return {**head, "exponent": self.exponent, "arrays": list(arrays)}

    @classmethod
    def load(cls, folder: Path, name: str, head: dict[str, Any], n_items: int) -> "Part":
        """Read what `save` wrote.

        Raises:
            SourceUnavailable: an array is missing, or is no array of this part.
        """
        fields = {field: value for field, value in head.items() if field != "arrays"}
        precision = load_array(folder / f"{name}-precision.npy", np.float32, (None, None))
        k = len(precision) - 1
        shapes: dict[str, tuple[int | None, ...]] = {
            "item_bias": (n_items,),
            "precision": (k + 1, k + 1),
            "item_variance": (n_items, k),
            "center": (k,),
            "basis": (n_items, None),
        }
        arrays: dict[str, Any] = {
            field: load_array(folder / f"{name}-{field}.npy", np.float32, shapes[field]) for field in head["arrays"]
        }
        return cls(**fields, **arrays)
