"""The pipeline: download → validate → split → tune → evaluate → register → export."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from prefect import flow
from pydantic import BaseModel

from flows.common import parent_run
from flows.download import download
from flows.evaluate import evaluate, load_evaluation
from flows.export import export
from flows.register import register
from flows.split import split
from flows.tune import tune
from flows.validate import validate
from mfcore.config import PipelineConfig
from mfcore.data.acceptance import PAGE
from mfcore.data.catalog import resolve
from mfcore.metrics.objective import Objective
from mfcore.settings import Settings
from mfcore.tracking.notes import pipeline_note
from mfcore.tracking.runs import Experiment
from mfcore.tuning import search_spaces

T = TypeVar("T", bound="_Reusable")

__all__ = ["PipelineResult", "StageResult", "pipeline"]


class StageResult(BaseModel):
    """How a stage went."""

    status: Literal["made", "reused"]
    seconds: float


class PipelineResult(BaseModel):
    """What a run of the pipeline ends with.

    Attributes:
        champion: the registered model's name.
        version: the champion's version.
        algorithm: what the champion was trained by.
        metrics: the recipe's test metrics, on this run's split.
        model_uri: what MLflow loads it by.
        export_path: where factors and recommendations lie.
        run_id: the pipeline's run in MLflow.
        stages: what each stage did, in order.
    """

    dataset: str
    champion: str
    version: int
    algorithm: str
    metrics: dict[str, float]
    model_uri: str
    export_path: Path
    run_id: str
    stages: dict[str, StageResult]


@flow(name="pipeline", flow_run_name="{config.dataset.name}")
def pipeline(config: PipelineConfig = PipelineConfig()) -> PipelineResult:
    """The whole chain; a stage whose inputs have not changed is reused."""
    search_spaces(config.tuning)  # better refused now than after the download
    stages: dict[str, StageResult] = {}
    dataset = resolve(config.dataset).name
    experiment = Experiment(Settings.read(), dataset)
    with parent_run(experiment, f"pipeline-{datetime.now(UTC):%Y%m%d-%H%M%S}", config) as run_id:
        raw = _timed(stages, "download", lambda: download(config))
        ratings = _timed(stages, "validate", lambda: validate(config, raw, run_id))
        splits = _timed(stages, "split", lambda: split(config, ratings))
        studies = _timed(stages, "tune", lambda: tune(config, splits, run_id))
        evaluation = _timed(stages, "evaluate", lambda: evaluate(config, studies, run_id))
        registration = _timed(stages, "register", lambda: register(config, evaluation, run_id))
        exported = _timed(stages, "export", lambda: export(config, dataset))
        champion = registration.champion
        found = load_evaluation(evaluation)
        metrics = found.chosen(Objective.RATING).headline
        experiment.log_metrics(run_id, metrics)
        experiment.tag(run_id, {"champion": str(champion.version), "algorithm": champion.recipe.algorithm})
        experiment.link_model(run_id, champion.name, champion.version)
        note = pipeline_note(
            found,
            experiment_id=experiment.id,
            ratings=ratings.details,
            parts=splits.details,
            split=config.split,
            champion=champion.uri,
            export=exported.path,
            page=ratings.path / PAGE,
        )
        experiment.note(run_id, note)
    return PipelineResult(
        dataset=dataset,
        champion=champion.name,
        version=champion.version,
        algorithm=champion.recipe.algorithm,
        metrics=metrics,
        model_uri=champion.uri,
        export_path=exported.path,
        run_id=run_id,
        stages=stages,
    )


class _Reusable(Protocol):
    @property
    def reused(self) -> bool: ...


def _timed(stages: dict[str, StageResult], name: str, stage: Callable[[], T]) -> T:
    """Run a stage and note how it went."""
    started = time.perf_counter()
    output = stage()
    seconds = round(time.perf_counter() - started, 2)
    stages[name] = StageResult(status="reused" if output.reused else "made", seconds=seconds)
    return output
