"""Logging a bundle as a model that MLflow can load and serve anywhere."""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

import mfcore
from mfcore.data.ratings import Ids
from mfcore.models.model import Model
from mfcore.tracking.bundle import BUNDLE, save_bundle

__all__ = ["log_model"]

_REQUIREMENTS = ("mlflow", "numba", "numpy", "pandas", "pyarrow", "pydantic", "rapidfuzz")
"""What a served model imports; the code of mfcore travels with it."""


def log_model(bundle: Model, run_id: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> str:
    """Log `bundle` as a model of the run and return the model's URI.

    The model is defined by code (`served_model.py`) and loads arrays only; nothing of it
    is pickled.
    """
    package = Path(mfcore.__file__).parent
    with tempfile.TemporaryDirectory(prefix="mfcore-") as folder:
        save_bundle(bundle, Path(folder) / BUNDLE)
        with mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(package / "tracking" / "served_model.py"),
                artifacts={BUNDLE: str(Path(folder) / BUNDLE)},
                code_paths=[str(package)],
                pip_requirements=[f"{package_name}=={version(package_name)}" for package_name in _REQUIREMENTS],
                signature=_signature(bundle),
                input_example=(_example(bundle), {"k": 10}),
                params=params,
                tags=tags,
            )
    uri: str = info.model_uri
    return uri


def _signature(bundle: Model) -> ModelSignature:
    """user_id, item_id if ratings are wanted, and k if lists are."""
    user, item = _column_type(bundle.user_ids), _column_type(bundle.item_ids)
    return ModelSignature(
        inputs=Schema([ColSpec(user, "user_id"), ColSpec(item, "item_id", required=False)]),
        params=ParamSchema([ParamSpec("k", "integer", 10)]),
    )


def _column_type(ids: Ids) -> str:
    return "long" if ids.dtype == np.int64 else "string"


def _example(bundle: Model) -> pd.DataFrame:
    """The first two users, each with an item."""
    n = min(2, len(bundle.user_ids), len(bundle.item_ids))
    return pd.DataFrame({"user_id": bundle.user_ids[:n], "item_id": bundle.item_ids[:n]})
