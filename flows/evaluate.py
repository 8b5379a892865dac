"""Evaluate: each algorithm's best recipe, the champion's recipe and the baselines on the same test ratings."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.common import artifact_key, input_artifact, logger, open_store, parent_run, report
from flows.tune import load_tuned
from mfcore import __version__
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.evaluation.gate import decide
from mfcore.evaluation.scoring import BASELINES, Candidate, Evaluation, Score, comparison, comparisons
from mfcore.evaluation.scoring import evaluate as score_candidates
from mfcore.metrics import Estimate, Evaluator
from mfcore.models import Recipe
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, fingerprint
from mfcore.tracking.finalists import log_comparison, log_scored
from mfcore.tracking.notes import evaluation_note
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Tuned

__all__ = ["evaluate", "load_evaluation"]

_VERSION = 2
_FILE = "evaluation.json"


@flow(name="evaluate")
def evaluate(
    config: PipelineConfig = PipelineConfig(), studies: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Retrain on train + validation, score once on test, and let the gate choose the next champion's recipe."""
    studies = input_artifact(studies, "studies", resolve(config.dataset).name)
    settings = Settings.read()
    experiment = Experiment(settings, studies.dataset)
    champion = Registry(settings, studies.dataset).champion()
    with parent_run(experiment, "evaluate", config, run_id) as parent:
        evaluation = score(config, studies, champion.recipe if champion else None, experiment, parent)
        found = load_evaluation(evaluation)
        experiment.note(parent, evaluation_note(found, experiment.id))
    publish(found, evaluation.dataset)
    rmse = found.score_of(found.chosen).metrics["test_rmse"]
    return report(evaluation, f"{found.chosen} with test RMSE {rmse:.4f}: {found.decision.reason}")


def load_evaluation(evaluation: Artifact) -> Evaluation:
    """What an evaluation found."""
    return Evaluation.model_validate_json((evaluation.path / _FILE).read_text(encoding="utf-8"))


def score(
    config: PipelineConfig, studies: Artifact, champion: Recipe | None, experiment: Experiment, parent: str
) -> Artifact:
    """Score all candidates and decide, unless that has been done in this store."""
    tuned = load_tuned(studies)
    candidates = _candidates(tuned, champion)
    recipes = [candidate.recipe.fingerprint for candidate in candidates]
    settings = [config.evaluation.model_dump(), config.registration.model_dump()]
    key = fingerprint("evaluations", _VERSION, __version__, studies.fingerprint, recipes, settings, experiment.identity)

    def write(folder: Path) -> dict[str, Any]:
        scores, slices, estimates, curves = train_and_score(config, studies, candidates, experiment, parent)
        challenger = min(tuned, key=lambda name: (tuned[name].validation_rmse, name))
        incumbent = next((one.name for one in candidates if one.recipe == champion), None)
        against = estimates[incumbent]["rmse"] if incumbent else None
        decision = decide(estimates[challenger]["rmse"], against, config.registration.min_improvement)
        found = Evaluation(
            scores=scores,
            comparisons=comparisons(estimates),
            slices=slices,
            challenger=challenger,
            chosen=challenger if decision.promote or incumbent is None else incumbent,
            decision=decision,
        )
        (folder / _FILE).write_text(found.model_dump_json(indent=1), encoding="utf-8")
        found.measures().to_parquet(folder / "measures.parquet", index=False)
        pd.DataFrame([one.model_dump() for one in found.comparisons]).to_parquet(
            folder / "comparisons.parquet", index=False
        )
        curves.to_parquet(folder / "learning_curves.parquet", index=False)
        log_comparison(experiment, scores, parent)
        return {"chosen": found.chosen, "reason": decision.reason}

    return open_store().make("evaluations", studies.dataset, key, write, [studies])


def _candidates(tuned: dict[str, Tuned], champion: Recipe | None) -> list[Candidate]:
    """The finalists, the champion's recipe where it is none of theirs, and the baselines that were not tuned."""
    candidates = [
        Candidate(name=name, role="finalist", recipe=found.recipe, validation_rmse=found.validation_rmse)
        for name, found in tuned.items()
    ]
    if champion is not None and all(champion != candidate.recipe for candidate in candidates):
        candidates.append(Candidate(name="champion", role="champion", recipe=champion))
    return [*candidates, *(one for one in BASELINES if one.name not in tuned)]


@task(cache_policy=NO_CACHE)
def train_and_score(
    config: PipelineConfig,
    studies: Artifact,
    candidates: list[Candidate],
    experiment: Experiment,
    parent: str,
) -> tuple[list[Score], dict[str, str], dict[str, dict[str, Estimate]], pd.DataFrame]:
    """Each candidate's score, logged as a run; what slices mean; estimates to compare; learning curves."""
    store = open_store()
    data, splits = store.input(studies, "ratings"), store.input(studies, "splits")
    snapshot, parts = Snapshot.load(data.path), Split.load(splits.path)
    evaluator = Evaluator(snapshot.ratings, parts, snapshot.items, config.evaluation)
    tags = {"stage": "evaluate", "data": data.fingerprint, "split": splits.fingerprint}
    scores: list[Score] = []
    estimates: dict[str, dict[str, Estimate]] = {}
    curves = []
    for scored in score_candidates(candidates, evaluator):
        name = scored.score.candidate.name
        score = log_scored(experiment, scored, evaluator.known, evaluator.test, snapshot.items, tags, parent, data.path)
        scores.append(score)
        estimates[name] = scored.estimates
        curves.append(scored.curve.frame().assign(model=name))
        logger.info("%s: test RMSE %.4f (%.1f s)", name, scored.score.metrics["test_rmse"], scored.score.seconds)
    return scores, evaluator.meanings, estimates, pd.concat(curves, ignore_index=True)


@task(cache_policy=NO_CACHE)
def publish(found: Evaluation, dataset: str) -> None:
    """Show the comparison in Prefect."""
    table = comparison(found.scores)
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    create_table_artifact(key=artifact_key("comparison", dataset), table=rows, description=found.decision.reason)
