"""`find_item`: the item that somebody means by an id or a title, or the candidates where that is not clear."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from mfcore.data.ratings import find_codes
from mfcore.errors import Ambiguous, UsageError, counted
from mfcore.models.model import Model

__all__ = ["FoundItem", "find_item", "is_same", "spoken"]

_MOST_SHOWN = 40
_NEAREST = 5
_LEAST_LIKENESS = 62
"""Of a title, to be named where none is near, 0 to 100."""

_YEAR = re.compile(r"^(.*?)\s*\(?\b((?:18|19|20)\d\d)\)?\s*$")
_MOVED_ARTICLE = re.compile(r"^(.*), (\w+'?)$")
_IN_BRACKETS = re.compile(r"\(([^()]*)\)")
_WORD = re.compile(r"\w+")
_INSIDE_WORDS = re.compile(r"[.'’*]")
"""As in L.A., Schindler's and M*A*S*H; other punctuation stands between words."""
_ARTICLES = {"the", "a", "an"}
_FOREIGN_ARTICLES = {*("le", "la", "les", "l'", "il", "lo", "el", "los", "las", "un", "une", "der", "die", "das")}
_ROMAN = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9", "x": "10"}


@dataclass(frozen=True)
class FoundItem:
    """An item that was asked for.

    Attributes:
        item_id: as the model has it.
        title: of the item.
        is_exact: whether its id or title was given; else the title is the only one near to what was.
    """

    item_id: Any
    title: str
    is_exact: bool


def find_item(model: Model, wanted: str) -> FoundItem:
    """The item that `wanted` means, if that is clear.

    The first of these that finds anything decides:

    1. an id;
    2. a title, whatever its case, articles, accents and punctuation, with or without its year; a second title in
       brackets, as in "Seven (Se7en)", is one too;
    3. a title up to a few typing errors: one from 4 letters on, two from 8, three from 16, none of them in a
       number; or up to a year beside its own;
    4. whole words of a title, one after another; or a title of another year.

    Raises:
        Ambiguous: several items are found; it holds them, the most rated first.
        UsageError: none is; the message names the nearest titles.

    >>> import pandas as pd
    >>> from mfcore.models import ALS
    >>> frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": ["f1", "f2", "f1"], "rating": [5, 1, 4]})
    >>> model = ALS(n_factors=1).fit(frame.assign(title=["Heat (1995)", "Toy Story (1995)", "Heat (1995)"]))
    >>> find_item(model, "toy story 1995").item_id, find_item(model, "Toy Stroy").is_exact
    ('f2', False)
    """
    code = int(find_codes(model.item_ids, [wanted])[0])
    if code >= 0:
        return FoundItem(model.item_ids[code], str(model.titles[code]), is_exact=True)
    titles = _Titles(model.titles)
    exact = titles.exact(wanted)
    codes = exact or titles.near(wanted) or titles.containing(wanted)
    if len(codes) == 1:
        return FoundItem(model.item_ids[codes[0]], str(model.titles[codes[0]]), is_exact=bool(exact))
    if not codes:
        nearest = "; ".join(str(model.titles[code]) for code in titles.nearest(wanted)).rstrip(".")
        raise UsageError(f"no item has the id or title {wanted!r}{f'; the nearest: {nearest}' if nearest else ''}.")
    codes.sort(key=lambda code: (-model.n_ratings[code], code))
    which = "the title" if exact else "a title like"
    shown = f", of which these {_MOST_SHOWN} are rated most" if len(codes) > _MOST_SHOWN else ""
    raise Ambiguous(
        f"{counted(len(codes), 'item')} have {which} {wanted!r}{shown}; name one by its id.",
        [
            {"item_id": model.item_ids[code], "title": str(model.titles[code]), "n_ratings": int(model.n_ratings[code])}
            for code in codes[:_MOST_SHOWN]
        ],
    )


def spoken(title: str) -> tuple[str, int | None]:
    """A title as one says it, without what is in brackets, and its year.

    >>> spoken("Postman, The (Postino, Il) (1994)"), spoken("Girl, Interrupted (1999)"), spoken("M")
    (('The Postman', 1994), ('Girl, Interrupted', 1999), ('M', None))
    """
    bare, year = _dated(title)
    name = " ".join(_IN_BRACKETS.sub(" ", bare).split())
    moved = _MOVED_ARTICLE.match(name)
    is_article = moved is not None and moved[2].casefold() in _ARTICLES | _FOREIGN_ARTICLES
    return (f"{moved[2]} {moved[1]}" if moved and is_article else name), year


def is_same(title: str, other: str) -> bool:
    """Whether two titles differ at most in case, articles, accents and punctuation.

    >>> is_same("The Empire Strikes Back", "Empire strikes back, The"), is_same("Heat", "Heat 2")
    (True, False)
    """
    return _plain(title) == _plain(other)


class _Titles:
    """All titles in the form they are compared in."""

    def __init__(self, titles: NDArray[np.object_]) -> None:
        self._years: list[int | None] = []
        self._names: list[str] = []
        self._others: list[list[str]] = []
        for title in titles:
            bare, year = _dated(str(title))
            self._years.append(year)
            self._names.append(_plain(_IN_BRACKETS.sub(" ", bare)))
            brackets = _IN_BRACKETS.findall(bare)
            self._others.append([_plain(text) for text in (*brackets, bare)] if brackets else [])

    def exact(self, wanted: str) -> list[int]:
        """Items of this title, and of this year if there is one."""
        return self._named(_plain(wanted)) or self._of_year(wanted, 0)

    def near(self, wanted: str) -> list[int]:
        """Items of nearly this title, or of this one a year off."""
        bare, year = _dated(wanted)
        plain = _plain(bare)
        numbers = _numbers(plain)
        matches = process.extract(
            plain, self._names, scorer=OSA.distance, score_cutoff=_typing_errors(plain), limit=None
        )
        return self._of_year(wanted, 1) or [
            code
            for name, _, code in matches
            if _numbers(name) == numbers and (year is None or self._years[code] == year)
        ]

    def containing(self, wanted: str) -> list[int]:
        """Items whose titles hold this as whole words; with a year, items of the title and another year."""
        bare, year = _dated(wanted)
        codes = self._holding(_plain(wanted))
        if not codes and year is not None:
            codes = [code for code in self._holding(_plain(bare)) if self._years[code] == year]
        return codes or self._named(_plain(bare))

    def nearest(self, wanted: str) -> list[int]:
        """A few items to name where none of the others finds any."""
        matches = process.extract(
            _plain(wanted), self._names, scorer=fuzz.ratio, score_cutoff=_LEAST_LIKENESS, limit=_NEAREST
        )
        return [code for _, _, code in matches]

    def _of_year(self, wanted: str, distance: int) -> list[int]:
        bare, year = _dated(wanted)
        if year is None:
            return []
        codes = self._named(_plain(bare))
        return [code for code in codes if (own := self._years[code]) is not None and abs(own - year) <= distance]

    def _holding(self, plain: str) -> list[int]:
        return [code for code, name in enumerate(self._names) if f" {plain} " in f" {name} "] if plain else []

    def _named(self, plain: str) -> list[int]:
        """Items of exactly this title; of the title in brackets if there are no others."""
        if not plain:
            return []
        return [code for code, name in enumerate(self._names) if name == plain] or [
            code for code, names in enumerate(self._others) if plain in names
        ]


def _dated(title: str) -> tuple[str, int | None]:
    """The title without the year at its end, and that year."""
    match = _YEAR.match(title)
    return (match[1], int(match[2])) if match and match[1] else (title, None)


def _plain(title: str) -> str:
    """The words of a title: small, without accents, articles and punctuation, Roman numbers in figures."""
    title = title.strip()
    moved = _MOVED_ARTICLE.match(title)
    if moved:
        title = f"{moved[2]} {moved[1]}"
    text = title.casefold()
    if not text.isascii():
        text = "".join(
            character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character)
        )
    words = _WORD.findall(_INSIDE_WORDS.sub("", text.replace("&", " and ")))
    kept = [_ROMAN.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(kept or words)


def _numbers(plain: str) -> list[str]:
    return [word for word in plain.split() if word.isdigit()]


def _typing_errors(plain: str) -> int:
    """How many are forgiven: a letter left out, put in, or taken for another, or two neighbors exchanged."""
    return sum(len(plain) >= length for length in (4, 8, 16))
