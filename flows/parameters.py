"""The parameters of the pipeline's flow: the few settings that people change first, and the rest of them."""

from collections.abc import Mapping
from typing import Any

from mfcore.config import PipelineConfig

__all__ = ["configured"]

_NAMED = {"dataset": "dataset.name", "n_trials": "tuning.n_trials", "algorithms": "tuning.algorithms"}
"""Parameters with a place of their own, and the settings that they are."""


def configured(parameters: Mapping[str, Any]) -> PipelineConfig:
    """The configuration that a run's parameters make: `config`, changed by those with a place of their own.

    Raises:
        ValidationError: `config`, where it is not one yet, is not possible.
        UsageError: another value is not.
    """
    config = PipelineConfig.model_validate(parameters.get("config") or {})
    named = {key: parameters.get(name) for name, key in _NAMED.items()}
    return config.changed({key: value for key, value in named.items() if value is not None})
