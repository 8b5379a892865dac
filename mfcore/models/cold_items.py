"""Factors for items that nobody rated, from what the table of items says of them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.ids import as_id
from mfcore.data.items import aligned, genres_of
from mfcore.data.ratings import Ids, Ratings, find_codes, titles_of
from mfcore.machine import one_blas_thread
from mfcore.models.base import Recommender
from mfcore.models.factors import Factors
from mfcore.models.foldin import Part
from mfcore.models.model import Model
from mfcore.models.rated import RatedItems

__all__ = ["ItemRegression", "features_of", "score_on_held_out", "with_unrated"]

_SUPPORT = 20
"""Ratings of an item at which its factors count half in the regression."""
_HELD_OUT = 0.1
"""Share of the items that the regression is scored on."""
_YEAR = r"\(((?:18|19|20)\d\d)\)\s*$"


def features_of(items: pd.DataFrame) -> NDArray[np.float64]:
    """What is known of items as numbers: a column per genre (0 or 1), the year, and each numeric column.

    The year is the column `year`, or else what ends the title in brackets. Numeric columns, such as those of text
    embeddings, are divided by their standard deviation; a missing value is the column's mean.

    Args:
        items: a row for each item.

    Returns:
        float64, (len(items), d), each column of mean 0.

    >>> features_of(pd.DataFrame({"genres": ["War|Drama", "War"], "title": ["A (1990)", "B (1992)"]})).tolist()
    [[0.5, 0.0, -1.0], [-0.5, 0.0, 1.0]]
    """
    columns: list[NDArray[np.float64]] = []
    if "genres" in items:
        columns.extend(genres_of(items["genres"])[1].T.astype(np.float64))
    numeric = items.select_dtypes("number")
    if "year" not in numeric and "title" in items:
        years = items["title"].astype("string").str.extract(_YEAR, expand=False)
        numeric = numeric.assign(year=pd.to_numeric(years, errors="coerce"))
    for name in numeric:
        values = numeric[name].to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(values)
        if known.any() and np.ptp(values[known]) > 0:
            columns.append(np.where(known, values, values[known].mean()) / values[known].std())
    features = np.column_stack(columns) if columns else np.zeros((len(items), 0))
    centered: NDArray[np.float64] = features - features.mean(axis=0) if len(items) else features
    return centered


@dataclass(frozen=True, eq=False)
class ItemRegression:
    r"""Ridge regression from items' features to whatever a model holds of items.

    With features f_i and any row t_i that a model has for item i (bias, factors), the row of an item without
    ratings is

        t̄ + (f − f̄) B,   B = argmin Σ_i w_i ‖t_i − t̄ − (f_i − f̄) B‖² + λ ‖B‖²,   w_i = n_i / (n_i + 20)

    over the items with ratings, n_i being their number and t̄ and f̄ the means weighted by w_i.

    Source: Gantner, Drumond, Freudenthaler, Rendle, Schmidt-Thieme, "Learning attribute-to-feature mappings for
    cold-start recommendations", ICDM 2010.

    Attributes:
        is_cold: bool, (n_items,); which items have no ratings.
        shares: float64, (n_cold, n_rated); what each rated item's row counts in that of a cold one.
    """

    is_cold: NDArray[np.bool_]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float64], n_ratings: NDArray[np.int64], reg: float) -> "ItemRegression":
        """Fit it.

        Args:
            features: (n_items, d); d = 0 makes every cold item the mean.
            n_ratings: (n_items,).
            reg: λ.
        """
        is_cold = n_ratings == 0
        weights = n_ratings[~is_cold] / (n_ratings[~is_cold] + _SUPPORT)
        mean = weights / max(weights.sum(), np.finfo(float).tiny)
        rated = features[~is_cold] - mean @ features[~is_cold]
        cold = features[is_cold] - mean @ features[~is_cold]
        with one_blas_thread():  # another number of threads would be other bits
            system = rated.T @ (weights[:, None] * rated) + reg * np.eye(rated.shape[1])
            slopes = cold @ np.linalg.solve(system, (weights[:, None] * rated).T)
        return cls(is_cold, mean + slopes - slopes.sum(axis=1, keepdims=True) * mean)

    def filled(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows, (n_items, …), with those of cold items put in."""
        whole = rows.copy()
        with one_blas_thread():
            whole[self.is_cold] = (self.shares @ rows[~self.is_cold].astype(np.float64)).astype(np.float32)
        return whole

    def of_factors(self, factors: Factors) -> Factors:
        """A model with the biases and factors of cold items, which somebody new may have rated as well."""
        means = factors.item_means
        return replace(
            factors,
            item_bias=self.filled(factors.item_bias),
            item_factors=self.filled(factors.item_factors),
            item_means=None if means is None else np.append(self.filled(means[:-1]), means[-1:]),
            parts=tuple(self._of_part(part) for part in factors.parts),
        )

    def _of_part(self, part: Part) -> Part:
        return replace(
            part,
            item_bias=self.filled(part.item_bias),
            basis=None if part.basis is None else self.filled(part.basis),
            item_variance=None if part.item_variance is None else np.maximum(self.filled(part.item_variance), 0),
        )


def with_unrated(model: Model, items: pd.DataFrame, reg: float) -> Model:
    """The model over the items that nobody rated as well; `n_ratings` of 0 tells them apart.

    Args:
        model: over items that were rated.
        items: item_id and what else is known, of these and others.
        reg: λ of `ItemRegression`.
    """
    item_ids = _with_others(model.item_ids, items["item_id"])
    place = find_codes(item_ids, model.item_ids)
    n_ratings = np.zeros(len(item_ids), np.int64)
    n_ratings[place] = model.n_ratings
    table = aligned(items, item_ids)
    titles = titles_of(item_ids, items)
    titles[place] = model.titles
    regression = ItemRegression.of(features_of(table.assign(title=titles)), n_ratings, reg)

    def head(factors: Factors) -> Factors:
        return regression.of_factors(_spread(factors, item_ids, place))

    return replace(
        model,
        factors=head(model.factors),
        titles=titles,
        rated=RatedItems(starts=model.rated.starts, items=place[model.rated.items], values=model.rated.values),
        n_ratings=n_ratings,
        ranking=None if model.ranking is None else head(model.ranking),
        neighbors=None if model.neighbors is None else head(model.neighbors),
        items=table.drop(columns="title", errors="ignore"),
    )


def score_on_held_out(recommender: Recommender, ratings: Ratings, items: pd.DataFrame, reg: float) -> dict[str, float]:
    """RMSE of what is predicted for a tenth of the items, of whose ratings neither model nor regression knows any.

    Args:
        recommender: trained on the ratings of the other items.
        ratings: all of them.
        items: item_id and what else is known.
        reg: λ of `ItemRegression`.

    Returns:
        cold_item_rmse; cold_item_rmse_of_mean, where each cold item has the mean bias and factors.
    """
    rng = np.random.default_rng(recommender.seed)
    held_out = rng.choice(ratings.n_items, max(1, round(_HELD_OUT * ratings.n_items)), replace=False)
    is_held_out = np.isin(ratings.items, held_out)
    rest, test = (ratings.take(np.flatnonzero(rows)) for rows in (~is_held_out, is_held_out))
    factors = recommender.train(rest)
    n_ratings = np.bincount(rest.items, minlength=ratings.n_items).astype(np.int64)
    table = aligned(items, ratings.item_ids)
    features = features_of(table.assign(title=titles_of(ratings.item_ids, items)))
    scores = {}
    for name, known in (("cold_item_rmse", features), ("cold_item_rmse_of_mean", features[:, :0])):
        predicted = ItemRegression.of(known, n_ratings, reg).of_factors(factors).predict(test.users, test.items)
        scores[name] = float(np.sqrt(np.mean(np.square(predicted.astype(np.float64) - test.values))))
    return scores


def _with_others(known: Ids, wanted: pd.Series) -> Ids:
    """The ids and those of others, sorted; others that are of another type are left out."""
    codes = find_codes(known, wanted)
    others = {as_id(known, item_id) for item_id, code in zip(wanted, codes, strict=True) if code < 0}
    if known.dtype == np.int64:
        own = [item_id for item_id in others if isinstance(item_id, int) and -(2**63) <= item_id < 2**63]
    else:
        own = [item_id for item_id in others if item_id is not None]
    return np.sort(np.append(known, np.array(own, known.dtype)))


def _spread(factors: Factors, item_ids: Ids, place: NDArray[np.int32]) -> Factors:
    """The same model over more items: rows of zeros for those that it does not have."""

    def rows(array: NDArray[np.float32]) -> NDArray[np.float32]:
        spread_out = np.zeros((len(item_ids), *array.shape[1:]), np.float32)
        spread_out[place] = array
        return spread_out

    def of_part(part: Part) -> Part:
        return replace(
            part,
            item_bias=rows(part.item_bias),
            basis=None if part.basis is None else rows(part.basis),
            item_variance=None if part.item_variance is None else rows(part.item_variance),
        )

    means = factors.item_means
    return replace(
        factors,
        item_bias=rows(factors.item_bias),
        item_factors=rows(factors.item_factors),
        item_ids=item_ids,
        item_means=None if means is None else np.append(rows(means[:-1]), means[-1:]),
        parts=tuple(of_part(part) for part in factors.parts),
    )
