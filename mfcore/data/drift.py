"""How far new ratings are from the last that were accepted."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.config import DRIFT_MEASURES, DriftConfig
from mfcore.data.ratings import Ids, Ratings, Scale

__all__ = ["Drift", "compare", "histogram"]

_N_BINS = 10
_MAX_VALUES = 20
"""A scale of at most so many values has a bin for each."""
_LEAST_SHARE = 1e-4
"""Empty bins count as if they held this share, which keeps the index finite."""


@dataclass(frozen=True)
class Drift:
    """What changed from the last accepted ratings.

    Attributes:
        results: for each measure: measure, observed, limit, success, action ("warn" or "stop").
        warnings: measures beyond their limit, a sentence each.
        problems: the same of measures that stop the run.
    """

    results: list[dict[str, float | str | bool]]
    warnings: list[str]
    problems: list[str]


def compare(previous: Ratings, current: Ratings, config: DriftConfig) -> Drift:
    r"""Compare `current` ratings with the `previous` accepted ones.

    The change of the histogram is the population stability index over the bins b of the
    rating scale, Σ_b (q_b − p_b) ln(q_b / p_b), with p the previous and q the current
    shares. Below 0.1 little has changed, above 0.25 a lot.

    Source: Siddiqi, Credit Risk Scorecards, 2006, for the index and its customary limits.

    >>> from mfcore.data.synthetic import synthesize
    >>> ratings = Ratings.from_frame(synthesize(20, 10, 100).frame, Scale(1, 5, 1))
    >>> compare(ratings, ratings, DriftConfig()).warnings
    []
    """
    scale = Scale(
        min(previous.scale.minimum, current.scale.minimum),
        max(previous.scale.maximum, current.scale.maximum),
        previous.scale.step if previous.scale.step == current.scale.step else None,
    )
    before, after = histogram(previous, scale)[1], histogram(current, scale)[1]
    observed = {
        "size": len(current) / len(previous) - 1,
        "mean": (_mean(current) - _mean(previous)) / scale.width if scale.width else 0.0,
        "histogram": _stability_index(before, after),
        "new_users": _share_new(previous.user_ids, current.user_ids),
        "new_items": _share_new(previous.item_ids, current.item_ids),
    }
    sentences = {
        "size": f"{len(current):,} ratings after {len(previous):,} ({observed['size']:+.0%})",
        "mean": f"a mean rating of {_mean(current):.3f} after {_mean(previous):.3f}",
        "histogram": f"another spread of ratings (stability index {observed['histogram']:.3f})",
        "new_users": f"{observed['new_users']:.0%} of users are new",
        "new_items": f"{observed['new_items']:.0%} of items are new",
    }
    results: list[dict[str, float | str | bool]] = []
    said: dict[str, list[str]] = {"warn": [], "stop": []}
    for measure in DRIFT_MEASURES:
        limit: float = getattr(config, measure)
        success = abs(observed[measure]) <= limit
        action = "stop" if measure in config.stop_on else "warn"
        results.append(
            {
                "measure": measure,
                "observed": round(observed[measure], 6),
                "limit": limit,
                "success": success,
                "action": action,
            }
        )
        if not success:
            said[action].append(f"drift: {sentences[measure]}, beyond drift.{measure} = {limit:g}")
    return Drift(results, said["warn"], said["stop"])


def histogram(ratings: Ratings, scale: Scale) -> tuple[list[str], NDArray[np.float64]]:
    """The share of ratings in each bin of `scale`, and the bins' names: a value, or a range.

    >>> frame = pd.DataFrame({"user_id": [1, 2], "item_id": [1, 1], "rating": [1.0, 3.0]})
    >>> names, shares = histogram(Ratings.from_frame(frame, Scale(1, 3, 1)), Scale(1, 3, 1))
    >>> names, shares.tolist()
    (['1', '2', '3'], [0.5, 0.0, 0.5])
    """
    n_steps = round(scale.width / scale.step) if scale.step else 0
    if scale.step and 0 < n_steps < _MAX_VALUES:
        centers = scale.minimum + scale.step * np.arange(n_steps + 1)
        edges = np.append(centers - scale.step / 2, scale.maximum + scale.step / 2)
        names = [f"{center:g}" for center in centers]
    else:
        edges = np.linspace(scale.minimum, scale.maximum, _N_BINS + 1)
        names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
        edges[-1] = np.nextafter(np.float32(scale.maximum), np.float32(np.inf))
    bins = np.clip(np.searchsorted(edges, ratings.values, side="right") - 1, 0, len(names) - 1)
    return names, np.bincount(bins, minlength=len(names)) / max(len(ratings), 1)


def _mean(ratings: Ratings) -> float:
    return float(ratings.values.mean(dtype=np.float64))


def _stability_index(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    p, q = np.maximum(before, _LEAST_SHARE), np.maximum(after, _LEAST_SHARE)
    return float(np.sum((q - p) * np.log(q / p)))


def _share_new(before: Ids, after: Ids) -> float:
    """The share of ids that are not among those before; integers are compared with texts as texts."""
    if before.dtype != after.dtype:
        before, after = (np.array([str(id_) for id_ in ids], dtype=object) for ids in (before, after))
    return 1.0 - float(np.mean(pd.Index(after).isin(pd.Index(before)))) if len(after) else 0.0
