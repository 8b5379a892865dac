"""What to show: top-N lists, similar items, titles found by name."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.models.factors import Factors
from mfcore.models.lists import top_items
from mfcore.models.seen import Seen

__all__ = ["find_titles", "similar_items", "top_n"]

_CHUNK = 1024
_LEAST_LIKENESS = 78
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")


def top_n(
    factors: Factors, users: NDArray[np.int32], k: int, seen: Seen | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` items with the highest scores for each user, without those in `seen`.

    Scores are those of `Factors.scores`: before clipping to the scale, which would tie the best
    (`Factors.to_ratings` gives the predicted ratings). Of equal scores the lower item code
    comes first.

    Args:
        factors: the model.
        users: int32 codes; −1 is an unknown user.
        k: length of a list.
        seen: what each user has rated, over the same codes.

    Returns:
        Item codes int32 (len(users), k), best first and −1 where items run out; scores float32
        of the same shape, NaN where items run out.

    >>> from mfcore.data.ratings import Scale
    >>> zero = np.zeros((2, 1), np.float32)
    >>> bias = np.array([0.0, 0.5], np.float32)
    >>> factors = Factors(3.0, zero[:, 0], bias, zero, zero, np.arange(2), np.arange(2), Scale(1, 5, 1))
    >>> items, scores = top_n(factors, np.array([0], np.int32), 3)
    >>> items.tolist(), scores.tolist()
    ([[1, 0, -1]], [[3.5, 3.0, nan]])
    """
    items, scores = top_items(factors, users, k, seen)
    scores[items < 0] = np.nan
    return items, scores


def similar_items(factors: Factors, items: NDArray[np.int32], k: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `k` items whose factors have the largest cosine with each of `items`, best first, itself left out.

    An item without factors (all zero, as items nobody rated have) is similar to none, and none
    to it.

    Returns:
        Item codes int32 (len(items), k), −1 where others run out; cosines float32 of the same
        shape, from −1 to 1, NaN where others run out.
    """
    from mfcore.models.kernels.topk import top_k

    lengths = np.linalg.norm(factors.item_factors.astype(np.float64), axis=1)
    known = lengths > 0
    unit = (factors.item_factors / np.where(known, lengths, 1)[:, None]).astype(np.float32)
    candidates = np.flatnonzero(known).astype(np.int32)
    place = np.full(len(unit) + 1, -1, np.int64)  # the last entry answers for code −1
    place[candidates] = np.arange(len(candidates))
    others = np.full((len(items), k), -1, np.int32)
    cosines = np.full((len(items), k), np.nan, np.float32)
    for first in range(0, len(items), _CHUNK):
        part = np.arange(first, min(first + _CHUNK, len(items)))
        part = part[place[items[part]] >= 0]
        own = place[items[part]].astype(np.int32)
        best, values = top_k(unit[items[part]] @ unit[candidates].T, np.arange(len(part) + 1), own, k)
        found = best >= 0
        others[part] = np.where(found, candidates.take(best, mode="clip") if len(candidates) else -1, -1)
        cosines[part] = np.where(found, np.clip(values, -1, 1), np.nan)
    return others, cosines


def find_titles(items: pd.DataFrame, query: str, limit: int = 10) -> pd.DataFrame:
    """Items whose titles match `query`, best first.

    Case doesn't matter, typing errors are forgiven, and a year in brackets at the end of a
    title counts only if the query has one too. Articles moved to the end ("Matrix, The") are
    read as people say them.

    Args:
        items: frame with columns item_id and title.
        query: what somebody typed.
        limit: matches at most.

    Returns:
        Frame with columns item_id, title and score (0 to 100; 100 is the title itself).

    >>> films = pd.DataFrame({"item_id": [1, 2], "title": ["Toy Story (1995)", "Heat (1995)"]})
    >>> find_titles(films, "toy story")["item_id"].tolist()
    [1]
    """
    from rapidfuzz import process

    with_year = _YEAR.search(query) is not None
    titles = items["title"].fillna("").astype(str)
    spoken = [_spoken(title, with_year) for title in titles]
    wanted = _spoken(query, with_year)
    found = (
        process.extract(wanted, spoken, scorer=_likeness, score_cutoff=_LEAST_LIKENESS, limit=None) if wanted else []
    )
    matches = items.iloc[[place for _, _, place in found]][["item_id", "title"]].reset_index(drop=True)
    matches["score"] = [score if text != wanted else 100.0 for text, score, _ in found]
    # Of equal scores the title nearest in length says most of what was asked.
    matches["extra"] = [abs(len(text) - len(wanted)) for text, _, _ in found]
    order = matches.sort_values(["score", "extra", "title"], ascending=[False, True, True], kind="stable")
    return order.drop(columns="extra").head(limit).reset_index(drop=True)


def _likeness(wanted: str, title: str, *, score_cutoff: float | None = None) -> float:
    """How alike what was typed and a title are, 0 to 100: as wholes, in any order of words, or as a part of the title.

    That a short title is a part of what was typed says nothing: "M" is a part of "Iron Man".
    """
    from rapidfuzz import fuzz

    whole = fuzz.ratio(wanted, title)
    part = 0.95 * fuzz.partial_ratio(wanted, title) if len(title) >= len(wanted) else 0.0
    return max(whole, part, 0.95 * fuzz.token_sort_ratio(wanted, title))


def _spoken(title: str, with_year: bool) -> str:
    """The title in small letters as people say it, with or without its year."""
    year = _YEAR.search(title)
    bare = _YEAR.sub("", title).strip().casefold()
    bare = re.sub(r"^(.*), (the|a|an)$", r"\2 \1", bare)
    return f"{bare} ({year[1]})" if year and with_year else bare
