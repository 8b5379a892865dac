"""Logging a bundle as a model that MLflow can load and serve anywhere."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

import mfcore
from mfcore.models.model import Model
from mfcore.storage.files import scratch_folder
from mfcore.tracking.bundle import BUNDLE, save_bundle
from mfcore.tracking.store import store_errors

__all__ = ["log_model"]

_REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy")
"""What a served model needs, and no more: mfcore's code travels with it, and mlflow brings pyarrow, threadpoolctl."""


def log_model(bundle: Model, run_id: str, name: str, tags: dict[str, str], params: dict[str, Any]) -> str:
    """Log `bundle` as a model of the run and return the model's URI.

    The model is defined by code (`served_model.py`) and loads arrays only; nothing of it
    is pickled.

    Raises:
        UsageError: a disk of the tracking store's is full.
        SourceUnavailable: the store does not answer.
    """
    package = Path(mfcore.__file__).parent
    with scratch_folder() as folder:
        save_bundle(bundle, folder / BUNDLE)
        with store_errors(mlflow.get_tracking_uri()), mlflow.start_run(run_id=run_id):
            info = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(package / "tracking" / "served_model.py"),
                artifacts={BUNDLE: str(folder / BUNDLE)},
                code_paths=[str(package)],
                pip_requirements=[f"{package_name}=={version(package_name)}" for package_name in _REQUIREMENTS],
                signature=_signature(),
                input_example=(_example(bundle), {"k": 10}),
                params=params,
                tags=tags,
            )
    uri: str = info.model_uri
    return uri


def _signature() -> ModelSignature:
    """What `served_model` reads; ids are of any type, so that 7, 7.0 and "7" are the same one at this door as well."""
    optional = ("item_id", "ratings", "exclude_items", "only_items")
    anything = AnyType()  # type: ignore[no-untyped-call]
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(anything, "user_id"),
        *(ColSpec(anything, name, required=False) for name in optional),
    ]
    params = [
        ParamSpec("answer", "string", ""),
        ParamSpec("k", "long", 10),
        ParamSpec("exclude_rated", "boolean", True),
        ParamSpec("min_ratings", "long", 0),
        ParamSpec("levers", "string", ""),
    ]
    return ModelSignature(inputs=Schema(columns), params=ParamSchema(params))


def _example(bundle: Model) -> pd.DataFrame:
    """The first two users, each with an item."""
    n = min(2, len(bundle.user_ids), len(bundle.item_ids))
    return pd.DataFrame({"user_id": bundle.user_ids[:n], "item_id": bundle.item_ids[:n]})
