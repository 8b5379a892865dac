"""The pipeline: download → validate → split → tune → evaluate → register → export → report."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from mfcore.data.acceptance import PAGE
from mfcore.evaluation.compiling import compiling
from mfcore.evaluation.scoring import Evaluation
from mfcore.metrics.objective import Objective
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.stages.table import DOWNLOAD, EVALUATE, EXPORT, REGISTER, REPORT, SPLIT, TUNE, VALIDATE, Output, Stage
from mfcore.storage.artifacts import Artifact
from mfcore.tracking.notes import pipeline_note, standalone
from mfcore.tuning import search_spaces

__all__ = ["Head", "PipelineResult", "StageResult", "run_pipeline"]

R = TypeVar("R", bound=Output)


class StageResult(BaseModel):
    """How a stage went."""

    status: Literal["made", "reused"]
    seconds: float


class Head(BaseModel):
    """A head of the champion.

    Attributes:
        algorithm: what it was trained by.
        version: of the champion.
        status: promoted, kept, tie, or baseline.
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
    def of(cls, evaluation: Evaluation, objective: Objective, version: int) -> "Head":
        """An objective's head, as an evaluation found it."""
        head, score = evaluation.heads[objective], evaluation.chosen(objective)
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
        export_path: where factors and recommendations lie on this machine.
        export_url: where they lie in an object store, if they went to one.
        report: the first of the pages about it; None where the configuration wants none.
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
    export_url: str | None = None
    report: Path | None = None
    run_id: str
    stages: dict[str, StageResult]


def run_pipeline(context: Context, run_stage: Callable[[Stage[Any], Context, Any], Any] = Stage.run) -> PipelineResult:
    """Run the whole chain; a stage whose inputs have not changed is reused.

    Args:
        context: what the stages share.
        run_stage: how an orchestrator runs a stage on a context and on what the stage before made.

    Raises:
        MfcoreError: a stage fails.
    """
    search_spaces(context.config.tuning)  # better refused now than after the download
    stages: dict[str, StageResult] = {}

    def run(stage: Stage[R], given: object = None) -> R:
        started = time.perf_counter()
        output: R = run_stage(stage, context, given)
        seconds = round(time.perf_counter() - started, 2)
        stages[stage.name] = StageResult(status="reused" if output.reused else "made", seconds=seconds)
        return output

    name = f"pipeline-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    with context.parent_run("pipeline", name) as parent, compiling() as finish_compiling:
        run_id = parent.id
        ratings = run(VALIDATE, run(DOWNLOAD))
        splits = run(SPLIT, ratings)
        finish_compiling()
        evaluation = run(EVALUATE, run(TUNE, splits))
        champion = run(REGISTER, evaluation).champion
        exported = run(EXPORT, champion)
        report = run(REPORT, champion).index if context.config.report.enabled else None
        result = load_evaluation(evaluation)
        context.experiment.log_metrics(run_id, result.headline)
        algorithms = {str(objective): recipe.algorithm for objective, recipe in champion.recipes.items()}
        context.experiment.tag(run_id, {"champion": str(champion.version), **algorithms})
        context.experiment.link_model(run_id, champion.name, champion.version)
        if report is not None:
            context.experiment.tag(run_id, {"report": str(report)})
        note = _note(context, result, ratings, splits, champion.uri, exported.place, report)
        context.experiment.note(run_id, note)
        context.observer.show_text(f"summary-{context.dataset_name}", _summary(context, note, stages))
    return PipelineResult(
        dataset=context.dataset_name,
        champion=champion.name,
        version=champion.version,
        algorithm=champion.recipes[Objective.RATING].algorithm,
        heads={objective: Head.of(result, objective, champion.version) for objective in result.heads},
        metrics=result.headline,
        model_uri=champion.uri,
        export_path=exported.path,
        export_url=exported.url,
        report=report,
        run_id=run_id,
        stages=stages,
    )


def _note(
    context: Context,
    evaluation: Evaluation,
    ratings: Artifact,
    splits: Artifact,
    champion: str,
    export: str,
    report: Path | None,
) -> str:
    """The description of the pipeline's run in MLflow."""
    return pipeline_note(
        evaluation,
        experiment_id=context.experiment.id,
        ratings=ratings.details,
        parts=splits.details,
        split=context.config.split,
        champion=champion,
        export=export,
        page=ratings.path / PAGE,
        report=report,
    )


def _summary(context: Context, note: str, stages: dict[str, StageResult]) -> str:
    """What the run's description in MLflow says, and what took how long."""
    rows = "\n".join(f"| {name} | {outcome.status} | {outcome.seconds:.1f} |" for name, outcome in stages.items())
    text = standalone(note, context.settings.tracking_uri)
    return f"{text}\n### Stages\n\n| stage | outcome | seconds |\n|---|---|---|\n{rows}\n"
