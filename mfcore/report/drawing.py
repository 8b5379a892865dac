"""What pages draw from figures: intervals side by side, and a poster for whatever has none."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mfcore.evaluation.scoring import Score
from mfcore.metrics.objective import Objective

__all__ = ["Forest", "Poster", "Row", "forest", "poster"]

_MARGIN = 0.04
"""What an axis goes beyond the intervals, as a share of what they span."""
_WORDS = re.compile(r"\w+")
_SMALL = {"a", "an", "and", "of", "the"}


@dataclass(frozen=True)
class Row:
    """A candidate's figure with its 95 % interval, and where on the axis they lie, in percent of it."""

    name: str
    role: str
    is_chosen: bool
    value: float
    low: float
    high: float
    x: float
    x_low: float
    x_high: float


@dataclass(frozen=True)
class Forest:
    """Candidates' figures on one axis, the best one first."""

    metric: str
    low: float
    high: float
    rows: list[Row]


def forest(scores: Iterable[Score], objective: Objective, metric: str, chosen: str) -> Forest | None:
    """The figures of whatever competed for an objective; None where nothing has one.

    Args:
        scores: of all candidates.
        objective: what they competed for.
        metric: such as `rmse`.
        chosen: name of the candidate that makes the head.
    """
    shown = []
    for score in scores:
        if objective not in score.candidate.objectives:
            continue
        estimate = score.measure(metric)
        if estimate.value is not None:
            low, high = (estimate.value if end is None else end for end in (estimate.low, estimate.high))
            shown.append((score.candidate, estimate.value, low, high))
    if not shown:
        return None
    least, most = min(low for _, _, low, _ in shown), max(high for *_, high in shown)
    margin = _MARGIN * max(most - least, 1e-9)
    least, most = least - margin, most + margin

    def place(value: float) -> float:
        return round(100 * (value - least) / (most - least), 2)

    rows = [
        Row(
            candidate.name,
            candidate.role,
            candidate.name == chosen,
            value,
            low,
            high,
            place(value),
            place(low),
            place(high),
        )
        for candidate, value, low, high in shown
    ]
    return Forest(metric, least, most, sorted(rows, key=lambda row: objective.loss(row.value)))


@dataclass(frozen=True)
class Poster:
    """Two letters on a color, the same for the same title."""

    initials: str
    hue: int


def poster(title: str) -> Poster:
    """Draw a title.

    >>> poster("The Empire Strikes Back (1980)").initials, poster("Heat").initials, poster("…").initials
    ('ES', 'H', '?')
    """
    words = [word for word in _WORDS.findall(title) if word.lower() not in _SMALL and not word.isdecimal()]
    initials = "".join(word[0].upper() for word in words[:2]) or next(iter(_WORDS.findall(title)), "?")[:2]
    return Poster(initials, int.from_bytes(hashlib.sha256(title.encode()).digest()[:2]) % 360)
