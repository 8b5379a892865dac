"""The rating scale where nobody gives it: what most ratings keep to, and what is odd about the others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Scale

__all__ = ["Observed", "observe"]

_STEPS = (1.0, 0.5)
_RARE = 0.01
"""A smaller share of the ratings doesn't make the scale: one 45 among 1 to 5, or 3.02 among whole stars."""
_FAR = 2.0
"""Rare values this many widths of the rest away from it are no part of the scale."""
_LEAST = 20
"""Ratings from which on shares mean something."""
_BESIDE = 10
"""A rare value at an end that the next one is given so many times as often as may be a mistake."""
_LOWEST_SHARE, _HIGHEST_SHARE = 0.4, 0.9
"""Larger shares are more than people give their lowest, or highest, rating."""


@dataclass(frozen=True)
class Observed:
    """A scale, and what to say of it: how it was found, and what looks wrong about it."""

    scale: Scale
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@np.errstate(over="ignore", invalid="ignore")  # numbers near the largest there are
def observe(values: NDArray[np.float64], known: Scale | None, given: Mapping[str, float]) -> Observed:
    """The scale of `values`: what is `given` counts first, then what is `known`, then what the values show.

    Of values nobody has given the scale of, rare ones far from all others, or off the step of all others,
    are left outside of it, so that they are refused as rows. Where the lowest or highest value stands
    apart from the rest, or has a share that people don't give it, it may mean "not rated".

    Args:
        values: the ratings; ones that are not finite are passed over.
        known: the scale of the data set, or of the ratings accepted before.
        given: minimum, maximum and step, each of them or none, as configured.

    >>> observe(np.array([1.0, 5.0, 3.0]), None, {"minimum": 0.0}).scale
    Scale(minimum=0.0, maximum=5.0, step=1.0)
    """
    if known is not None:
        return Observed(replace(known, **given))
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    low, high = given.get("minimum", -np.inf), given.get("maximum", np.inf)
    inside = (distinct >= low) & (distinct <= high)
    distinct, counts = distinct[inside], counts[inside]
    if not len(distinct):
        return Observed(Scale(given.get("minimum", 0.0), given.get("maximum", given.get("minimum", 0.0))))
    step = given.get("step")
    if step is None:
        step = _step(distinct - given.get("minimum", 0.0), counts)
        if step is not None:
            on_step = _is_on(distinct - given.get("minimum", 0.0), step)
            distinct, counts = distinct[on_step], counts[on_step]
    distinct, counts = _without_far(distinct, counts, given)
    scale = Scale(given.get("minimum", float(distinct[0])), given.get("maximum", float(distinct[-1])), step)
    steps = f"in steps of {step:g}" if step else "real-valued"
    note = f"scale read off the ratings: {scale.minimum:g} to {scale.maximum:g}, {steps}"
    return Observed(scale, (note,), _doubtful(distinct, counts, given, step))


def _step(distinct: NDArray[np.float64], counts: NDArray[np.int64]) -> float | None:
    """The step that all values keep to, or all but a rare few."""
    for step in _STEPS:
        off = counts[~_is_on(distinct, step)].sum()
        if off == 0 or _is_rare(off, counts):
            return step
    return None


def _is_rare(few: Any, counts: NDArray[np.int64]) -> Any:
    """Whether so `few` of all ratings are too few to make the scale; a single one is."""
    n = counts.sum()
    return (n >= _LEAST) & ((few == 1) | (few < _RARE * n))


def _is_on(values: NDArray[np.float64], step: float) -> NDArray[np.bool_]:
    return np.isclose(values / step, np.rint(values / step), rtol=0, atol=1e-9)


def _without_far(
    distinct: NDArray[np.float64], counts: NDArray[np.int64], given: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values without rare ones at either end that are far from all others."""
    for key in ("minimum", "maximum"):
        ends, weights = (distinct, counts) if key == "minimum" else (-distinct[::-1], counts[::-1])
        gaps = np.diff(ends)
        widths = ends[-1] - ends[1:]
        cuts = np.flatnonzero((gaps / _FAR > widths) & (widths > 0) & _is_rare(np.cumsum(weights)[:-1], counts))
        if len(cuts) and key not in given:
            n_cut = int(cuts[-1]) + 1
            keep = slice(n_cut, None) if key == "minimum" else slice(None, len(distinct) - n_cut)
            distinct, counts = distinct[keep], counts[keep]
    return distinct, counts


def _doubtful(
    distinct: NDArray[np.float64], counts: NDArray[np.int64], given: Mapping[str, float], step: float | None
) -> tuple[str, ...]:
    """Warnings of ends that may mean "not rated", or be mistakes."""
    if len(distinct) < 4 or counts.sum() < _LEAST:
        return ()
    warnings = []
    for key, name, values, weights, limit in (
        ("minimum", "lowest", distinct, counts, _LOWEST_SHARE),
        ("maximum", "highest", distinct[::-1], counts[::-1], _HIGHEST_SHARE),
    ):
        if key in given:
            continue
        gaps = np.abs(np.diff(values))
        is_apart = gaps[0] >= 2 * gaps[1:].max()
        share = weights[0] / counts.sum()
        few = np.cumsum(weights)[:-1]
        rare = np.flatnonzero((step is not None) & _is_rare(few, counts) & (_BESIDE * few < weights[1:]))
        if is_apart or share > limit:
            why = "stands apart from the others" if is_apart else f"makes {share:.0%} of all ratings"
            warnings.append(
                f"the {name} rating, {values[0]:g}, {why}: if it means 'not rated', set dataset.not_rated = "
                f"[{values[0]:g}]; if not, give the scale (dataset.scale_min, scale_max)"
            )
        elif len(rare):
            last = rare[-1]
            warnings.append(
                f"the {name} rating is {values[0]:g}, but only {few[last]:,} of {counts.sum():,} are not "
                f"{'at least' if key == 'minimum' else 'at most'} {values[last + 1]:g}: if they are mistakes, set "
                f"dataset.scale_{key[:3]} = {values[last + 1]:g}; if not, {values[0]:g}"
            )
    return tuple(warnings)
