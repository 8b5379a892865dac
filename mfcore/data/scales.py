"""The rating scale where nobody gives it: what most ratings keep to, and what is odd about the others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mfcore.data.ratings import Scale

__all__ = ["Observed", "observe"]

_STEPS = (1.0, 0.5)
_RARE = 0.01
"""A smaller share of the ratings doesn't make the scale: one 45 among 1 to 5, or 3.02 among whole stars."""
_FAR = 2.0
"""Rare values this many widths of the rest away from it are no part of the scale."""
_LEAST = 100
"""Ratings from which on shares mean something."""
_LOWEST_SHARE, _HIGHEST_SHARE = 0.4, 0.9
"""Larger shares are more than people give their lowest, or highest, rating."""


@dataclass(frozen=True)
class Observed:
    """A scale, and what to say of it: how it was found, and what looks wrong about it."""

    scale: Scale
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
    if {"minimum", "maximum"} <= given.keys():
        return Observed(Scale(given["minimum"], given["maximum"], given.get("step")))
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    low, high = given.get("minimum", -np.inf), given.get("maximum", np.inf)
    inside = (distinct >= low) & (distinct <= high)
    distinct, counts = distinct[inside], counts[inside]
    if not len(distinct):
        return Observed(Scale(given.get("minimum", 0.0), given.get("maximum", given.get("minimum", 0.0))))
    step = given.get("step")
    if step is None:
        step = _step(distinct, counts)
    on_step = np.ones(len(distinct), np.bool_) if step is None else _is_on(distinct, step)
    if given.get("step") is not None:
        on_step[:] = True
    distinct, counts = _without_far(distinct[on_step], counts[on_step], given)
    scale = Scale(given.get("minimum", float(distinct[0])), given.get("maximum", float(distinct[-1])), step)
    steps = f"in steps of {step:g}" if step else "real-valued"
    note = f"scale read off the ratings: {scale.minimum:g} to {scale.maximum:g}, {steps}"
    return Observed(scale, (note,), _sentinels(distinct, counts, given))


def _step(distinct: NDArray[np.float64], counts: NDArray[np.int64]) -> float | None:
    """The step that all values keep to, or all but a rare few."""
    n = counts.sum()
    for step in _STEPS:
        off = int(counts[~_is_on(distinct, step)].sum())
        if off == 0 or (n >= _LEAST and off < _RARE * n):
            return step
    return None


def _is_on(values: NDArray[np.float64], step: float) -> NDArray[np.bool_]:
    return np.equal(values / step, np.rint(values / step))


def _without_far(
    distinct: NDArray[np.float64], counts: NDArray[np.int64], given: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values without rare ones at either end that are far from all others."""
    n = counts.sum()
    if n < _LEAST:
        return distinct, counts
    for key, ends in (("minimum", distinct), ("maximum", -distinct[::-1])):
        weights = counts if key == "minimum" else counts[::-1]
        gaps = np.diff(ends)
        widths = ends[-1] - ends[1:]
        share = np.cumsum(weights)[:-1] / n
        cuts = np.flatnonzero((gaps > _FAR * widths) & (widths > 0) & (share < _RARE))
        if len(cuts) and key not in given:
            n_cut = int(cuts[-1]) + 1
            keep = slice(n_cut, None) if key == "minimum" else slice(None, len(distinct) - n_cut)
            distinct, counts = distinct[keep], counts[keep]
    return distinct, counts


def _sentinels(distinct: NDArray[np.float64], counts: NDArray[np.int64], given: Mapping[str, float]) -> tuple[str, ...]:
    """Warnings of ends that may mean "not rated"."""
    if len(distinct) < 4 or counts.sum() < _LEAST:
        return ()
    gaps = np.diff(distinct)
    shares = counts / counts.sum()
    warnings = []
    for key, end, gap, others, limit in (
        ("minimum", 0, gaps[0], gaps[1:], _LOWEST_SHARE),
        ("maximum", -1, gaps[-1], gaps[:-1], _HIGHEST_SHARE),
    ):
        name = "lowest" if end == 0 else "highest"
        apart = gap >= 2 * others.max() and key not in given
        if apart or shares[end] > limit:
            why = "stands apart from the others" if apart else f"makes {shares[end]:.0%} of all ratings"
            value = f"{distinct[end]:g}"
            warnings.append(
                f"the {name} rating, {value}, {why}: if it means 'not rated', set dataset.not_rated = [{value}]; "
                "if not, give the scale (dataset.scale_min, scale_max)"
            )
    return tuple(warnings)
