"""Items as pages name them, and the neighbors of those that everybody knows."""

from dataclasses import replace
from typing import Any

import numpy as np

from mfcore.data.ratings import find_codes
from mfcore.models.model import Model
from mfcore.report.contents import Item, Neighborhood

__all__ = ["item_of", "neighborhoods"]

_N_KNOWN, _N_SIMILAR = 10, 10
"""Well-known items, and how many neighbors of each."""


def item_of(model: Model, code: int) -> Item:
    """An item by its code, with year, genres and text where the table of items has them."""
    known = None if model.items is None else model.items.iloc[code].dropna()
    row: dict[Any, Any] = {} if known is None else known.to_dict()
    year = f"{row['year']:g}" if isinstance(row.get("year"), int | float | np.number) else str(row.get("year", ""))
    genres = str(row.get("genres", "")).replace("|", ", ")
    about = " · ".join(part for part in (year, genres) if part)
    return Item(str(model.titles[code]), int(model.n_ratings[code]), about, str(row.get("text", "")))


def neighborhoods(bundle: Model) -> list[Neighborhood]:
    """Neighbors of the most rated items, by the ranking head and, where it has factors of its own, the rating head."""
    heads = {"ranking": bundle}
    if bundle.ranking is not None and bundle.factors.n_factors:
        heads["rating"] = replace(bundle, ranking=None)
    known = np.argsort(-bundle.n_ratings, kind="stable")[:_N_KNOWN]
    ids = bundle.item_ids[known]
    found = {name: head.similar(ids, _N_SIMILAR) for name, head in heads.items()}

    def neighbors(name: str, item_id: Any) -> list[tuple[Item, float]]:
        own = found[name][found[name]["item_id"] == item_id]
        codes = find_codes(bundle.item_ids, own["other_item_id"]).tolist()
        return [(item_of(bundle, code), float(cosine)) for code, cosine in zip(codes, own["cosine"], strict=True)]

    return [
        Neighborhood(item_of(bundle, int(code)), {name: neighbors(name, item_id) for name in heads})
        for code, item_id in zip(known, ids, strict=True)
    ]
