"""Runs and the model registry in MLflow: the only place that knows MLflow."""

import os

# Read by MLflow: no pickle is ever loaded, nothing is reported home, no bars between our lines.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
