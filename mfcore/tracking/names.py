"""What things are called in MLflow."""

import json

__all__ = [
    "EXPERIMENTS",
    "NOTE",
    "PARENT",
    "REMOVED_BELOW",
    "SOURCE",
    "USER",
    "VIEW",
    "model_name",
    "runs_page",
    "runs_view",
]

EXPERIMENTS = "mfcore/"
"""What the names of this project's experiments begin with; the data set follows."""

# Tags that MLflow's pages read.
NOTE, PARENT = "mlflow.note.content", "mlflow.parentRunId"
SOURCE, USER = "mlflow.source.name", "mlflow.user"

REMOVED_BELOW = "removed_below"
"""A trial's tag: trials of its study with lower numbers were all logged, though some are removed by now."""

_VIEW_KEY = "mfcore"
VIEW = f"mlflow.sharedViewState.{_VIEW_KEY}"
"""The experiment's tag that holds a view of its runs table, as the Share button writes it."""

_SHOWN = ("validation_rmse", "test_rmse", "test_ndcg_at_10", "training_seconds")


def model_name(dataset: str) -> str:
    """The registered model's name for a data set.

    >>> model_name("ml-100k")
    'mfcore-ml-100k'
    """
    return f"mfcore-{dataset}"


def runs_view() -> str:
    """The runs table with the metrics that matter: the value of the tag `VIEW`."""
    attributes = [f"attributes.`{name}`" for name in ("Created", "Duration")]
    return json.dumps({"selectedColumns": [*attributes, *(f"metrics.`{name}`" for name in _SHOWN)]})


def runs_page(experiment_id: str) -> str:
    """Path of an experiment's own page, in the view that `runs_view` says.

    MLflow opens on pages about language models unless it is told the other kind of work.

    >>> runs_page("1")
    '/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=mfcore'
    """
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={_VIEW_KEY}"
