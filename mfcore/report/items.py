"""Items as pages name them, and the neighbors of those that everybody knows."""

from collections.abc import Mapping
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
    tmdb_id = str(row.get("tmdb_id", ""))
    return Item(
        title=str(model.titles[code]),
        n_ratings=int(model.n_ratings[code]),
        about=about,
        text=str(row.get("text", "")),
        tmdb_id=int(tmdb_id) if tmdb_id.isdecimal() else None,
    )


def neighborhoods(models: Mapping[str, Model]) -> list[Neighborhood]:
    """Neighbors of the first model's most rated items, by each model that knows them."""
    first = next(iter(models.values()))
    known = np.argsort(-first.n_ratings, kind="stable")[:_N_KNOWN]
    ids = first.item_ids[known]
    similar_by = {name: model.similar(ids, _N_SIMILAR) for name, model in models.items()}

    def neighbors(name: str, item_id: Any) -> list[tuple[Item, float]]:
        own = similar_by[name][similar_by[name]["item_id"] == item_id]
        codes = find_codes(first.item_ids, own["other_item_id"])
        cosines = own["cosine"].to_numpy()
        return [(item_of(first, int(codes[n])), float(cosines[n])) for n in np.flatnonzero(codes >= 0)]

    return [
        Neighborhood(item_of(first, int(code)), {name: neighbors(name, item_id) for name in models})
        for code, item_id in zip(known, ids, strict=True)
    ]
