"""Items found by their titles."""

import re

import pandas as pd

__all__ = ["find_titles"]

_LEAST_LIKENESS = 78
_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")


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
