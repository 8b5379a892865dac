"""The model as it is served: this file is its definition, loaded by MLflow instead of a pickle.

| asked | column | |
|---|---|---|
| who | `user_id` | an id, of whatever type |
| ratings of pairs | `item_id` | an id |
| for somebody new | `ratings` | item id → rating; folded in by both heads |
| lists | `exclude_items`, `only_items` | lists of ids, each row's own |

Any column but `user_id` can be left out, and any cell of it be missing. What holds for all rows is a parameter:
`answer` ("ratings", "lists", "similar" or "reasons"; by itself ratings where there are item ids, else lists),
`k`, `exclude_rated`, `min_ratings` and `levers` (those of `mfcore.config.Levers` that are set, as JSON).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from mlflow.store.artifact.models_artifact_repo import REGISTERED_MODEL_META_FILE_NAME
from pydantic import ValidationError

from mfcore.config import Levers
from mfcore.errors import MfcoreError, UsageError
from mfcore.machine import one_blas_thread
from mfcore.serving.answers import MOST_SINGLES, Answers, refuse_more_than
from mfcore.tracking.bundle import load_bundle

__all__ = ["ServedModel"]

_OWN = {
    "ratings": ["ratings"],
    "lists": ["ratings", "exclude_items", "only_items"],
    "similar": [],
    "reasons": ["ratings"],
}
"""The columns that a row may have of its own, to be answered alone, by answer."""

_FEW = 100
"""Rows whose arithmetic takes less time than BLAS threads, on a busy machine, take to meet."""


class ServedModel(PythonModel):
    """Ratings, lists, similar items and reasons from one bundle."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with the model."""
        bundle = Path(context.artifacts["bundle"])
        self.answers = Answers(load_bundle(bundle, "the served model"), _registered_version(bundle.parents[1]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer rows of questions.

        Args:
            context: MLflow's; not used.
            model_input: columns user_id and, optionally, item_id, ratings, exclude_items and only_items.
            params: answer, k, exclude_rated, min_ratings and levers.

        Returns:
            The columns of the question of `Answers`, answers in the order of the rows; ratings under their index.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, which servers answer with status 400: what was asked makes no
                sense, or would be too much work for one request.
        """
        try:
            if len(model_input) > _FEW:
                return self._answered(model_input, params or {})
            with one_blas_thread():
                return self._answered(model_input, params or {})
        except MfcoreError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _answered(self, asked: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
        has_items = "item_id" in asked and bool(asked["item_id"].notna().any())
        answer = params.get("answer") or ("ratings" if has_items else "lists")
        if answer not in _OWN:
            raise UsageError(f"answer is {answer!r}; it can be {', '.join(_OWN)}.")
        own = [name for name in _OWN[answer] if name in asked]
        alone = asked[own].notna().any(axis=1).to_numpy() if own else np.zeros(len(asked), np.bool_)
        refuse_more_than(MOST_SINGLES, int(alone.sum()), "rows with ratings or filters of their own")
        tables = [self._table(answer, rows, params) for rows in _runs(asked, alone)]
        # Of one table a copy would take longer than the answer.
        table = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        if answer == "ratings":
            table.index = asked.index
        return table

    def _table(self, answer: str, rows: pd.DataFrame, params: dict[str, Any]) -> pd.DataFrame:
        """The answer to rows that have nothing of their own, or to one row."""
        users = rows["user_id"].to_numpy()
        items = rows["item_id"].to_numpy() if "item_id" in rows else np.full(len(rows), None)
        k = params.get("k", 10)
        if answer == "similar":
            return pd.DataFrame(self.answers.similar(items, k))
        ratings = _cell(rows, "ratings")
        answers = self.answers if ratings is None else self.answers.for_new(ratings)
        if answer == "ratings":
            return pd.DataFrame(answers.ratings(users, items))
        if answer == "reasons":
            return pd.DataFrame(answers.reasons(users, items, k))
        lists = answers.lists(
            users,
            k,
            exclude_rated=params.get("exclude_rated", True),
            exclude_items=_cell(rows, "exclude_items"),
            only_items=_cell(rows, "only_items"),
            min_ratings=params.get("min_ratings", 0),
            levers=_levers(params.get("levers")),
        )
        return pd.DataFrame(lists)


def _runs(asked: pd.DataFrame, alone: Any) -> Iterator[pd.DataFrame]:
    """The rows in order: one by one those that are to be answered alone, the others as many together as follow."""
    if not alone.any():
        yield asked
        return
    first = 0
    for row in [*alone.nonzero()[0], len(asked)]:
        if row > first:
            yield asked.iloc[first:row]
        if row < len(asked):
            yield asked.iloc[row : row + 1]
        first = row + 1


def _cell(rows: pd.DataFrame, name: str) -> Any:
    """What a single row has there; None if it has nothing."""
    cell = rows[name].iloc[0] if name in rows and len(rows) else None
    return None if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


def _levers(text: str | None) -> Levers | None:
    try:
        return Levers.model_validate_json(text) if text else None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"levers: {where + ': ' if where else ''}{first['msg']}.") from error


def _registered_version(folder: Path) -> int | None:
    """The version under which MLflow fetched the model into `folder`; None if it was not from the registry."""
    path = folder / REGISTERED_MODEL_META_FILE_NAME
    match = re.search(r"^model_version: '?(\d+)", path.read_text(encoding="utf-8"), re.M) if path.is_file() else None
    return int(match[1]) if match else None


set_model(ServedModel())
