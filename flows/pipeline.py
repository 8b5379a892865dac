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
from flows.hooks import tell_schedule, try_later
from flows.register import register
from flows.split import split
from flows.tune import tune
from flows.turns import turn
from flows.validate import validate
from mfcore.config import PipelineConfig
from mfcore.data.acceptance import PAGE
from mfcore.data.catalog import resolve
from mfcore.evaluation.scoring import Evaluation
from mfcore.metrics.objective import Objective
from mfcore.settings import Settings
from mfcore.tracking.notes import pipeline_note
from mfcore.tracking.runs import Experiment
from mfcore.tuning import search_spaces

T = TypeVar("T", bound="_Reusable")

__all__ = ["Head", "PipelineResult", "StageResult", "pipeline"]


class StageResult(BaseModel):
    """How a stage went."""

    status: Literal["made", "reused"]
    seconds: float


class Head(BaseModel):
    """A head of the champion.

    Attributes:
        algorithm: what it was trained by.
        version: of the champion.
        status: promoted, kept, tie, or most popular.
        metrics: of its recipe on test ratings.
        reason: why the gate chose it.
        warning: what is wrong with it, if anything is.
    """

    algorithm: str
    version: int
    status: str
    metrics: dict[str, float]
    reason: str
    warning: str | None = None

    @classmethod
    def of(cls, found: Evaluation, objective: Objective, version: int) -> "Head":
        """An objective's head, as an evaluation found it."""
        head, score = found.heads[objective], found.chosen(objective)
        return cls(
            algorithm=score.candidate.recipe.algorithm,
            version=version,
            status=head.status,
            metrics=score.headline,
            reason=head.decision.reason,
            warning=head.warning,
        )


class PipelineResult(BaseModel):
    """What a run of the pipeline ends with.

    Attributes:
        champion: the registered model's name.
        version: the champion's version.
        algorithm: what the rating head was trained by.
        heads: each objective's head: how it was made and why.
        metrics: test metrics of the two heads together, on this run's split.
        model_uri: what MLflow loads it by.
        export_path: where factors and recommendations lie.
        run_id: the pipeline's run in MLflow.
        stages: what each stage did, in order.
    """

    dataset: str
    champion: str
    version: int
    algorithm: str
    heads: dict[Objective, Head]
    metrics: dict[str, float]
    model_uri: str
    export_path: Path
    run_id: str
    stages: dict[str, StageResult]


@flow(name="pipeline", flow_run_name="{config.dataset.name}", on_running=[tell_schedule], on_failure=[try_later])
def pipeline(config: PipelineConfig = PipelineConfig()) -> PipelineResult:
    """The whole chain; a stage whose inputs have not changed is reused."""
    search_spaces(config.tuning)  # better refused now than after the download
    stages: dict[str, StageResult] = {}
    dataset = resolve(config.dataset).name
    experiment = Experiment(Settings.read(), dataset)
    with turn(dataset), parent_run(experiment, f"pipeline-{datetime.now(UTC):%Y%m%d-%H%M%S}", config) as run_id:
        raw = _timed(stages, "download", lambda: download(config))
        ratings = _timed(stages, "validate", lambda: validate(config, raw, run_id))
        splits = _timed(stages, "split", lambda: split(config, ratings))
        studies = _timed(stages, "tune", lambda: tune(config, splits, run_id))
        evaluation = _timed(stages, "evaluate", lambda: evaluate(config, studies, run_id))
        registration = _timed(stages, "register", lambda: register(config, evaluation, run_id))
        exported = _timed(stages, "export", lambda: export(config, dataset))
        champion = registration.champion
        found = load_evaluation(evaluation)
        metrics = found.headline
        algorithms = {str(objective): recipe.algorithm for objective, recipe in champion.recipes.items()}
        experiment.log_metrics(run_id, metrics)
        experiment.tag(run_id, {"champion": str(champion.version), **algorithms})
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
        algorithm=champion.recipes[Objective.RATING].algorithm,
        heads={objective: Head.of(found, objective, champion.version) for objective in found.heads},
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
