"""The model as it is served: this file is its definition, loaded by MLflow instead of a pickle.

Rows with a user_id and an item_id give predicted ratings; rows with a user_id alone give
each user's top `k` items that they have not rated.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from mfcore.tracking.bundle import load_bundle

__all__ = ["ServedModel"]


class ServedModel(PythonModel):
    """Rating prediction and top-N from one bundle."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with the model."""
        self.bundle = load_bundle(Path(context.artifacts["bundle"]), "the served model")

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict ratings of (user_id, item_id) rows, or recommend to user_id rows.

        Args:
            context: MLflow's; not used.
            model_input: columns user_id and, for predictions, item_id.
            params: `k`, the length of the lists.

        Returns:
            With item_id: prediction, known_user and known_item, under the index of the input. Without: as
            `Model.recommend`.
        """
        if "item_id" in model_input and model_input["item_id"].notna().any():
            users, items = model_input["user_id"], model_input["item_id"]
            table = {
                "prediction": self.bundle.predict(users, items).astype(np.float64),
                "known_user": self.bundle.knows(users),
                "known_item": self.bundle.knows_items(items),
            }
            return pd.DataFrame(table, index=model_input.index)
        return self.bundle.recommend(model_input["user_id"].to_numpy(), int((params or {}).get("k", 10)))


set_model(ServedModel())
