"""Evaluate: each algorithm's best recipe, the champion's recipe and the baselines on the same test ratings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.common import artifact_key, input_artifact, logger, open_store, parent_run, report
from flows.tune import load_tuned
from mfcore import __version__
from mfcore.acceptance import Snapshot
from mfcore.artifacts import Artifact, fingerprint
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.data.splitting import Split
from mfcore.evaluation import BASELINES, Candidate, Evaluation, Score, comparison
from mfcore.evaluation import evaluate as score_candidates
from mfcore.gate import decide
from mfcore.models import Recipe
from mfcore.settings import Settings
from mfcore.tracking.finalists import log_comparison, log_scored
from mfcore.tracking.notes import evaluation_note
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Tuned

__all__ = ["evaluate", "load_evaluation"]

_VERSION = 1
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
        scores, predictions, actual = train_and_score(config, studies, candidates, tuned, experiment, parent)
        challenger = min(tuned, key=lambda name: (tuned[name].validation_rmse, name))
        incumbent = next((one.name for one in candidates if one.recipe == champion), None)
        against = predictions[incumbent] if incumbent else None
        decision = decide(actual, predictions[challenger], against, config.registration.min_improvement)
        chosen = challenger if decision.promote or incumbent is None else incumbent
        found = Evaluation(scores=scores, challenger=challenger, chosen=chosen, decision=decision)
        (folder / _FILE).write_text(found.model_dump_json(indent=1), encoding="utf-8")
        log_comparison(experiment, scores, parent)
        return {"chosen": chosen, "reason": decision.reason}

    return open_store().make("evaluations", studies.dataset, key, write, [studies])


def _candidates(tuned: dict[str, Tuned], champion: Recipe | None) -> list[Candidate]:
    """The finalists, the champion's recipe where it is none of theirs, and the baselines."""
    candidates = [
        Candidate(name=name, role="finalist", recipe=found.recipe, validation_rmse=found.validation_rmse)
        for name, found in tuned.items()
    ]
    if champion is not None and all(champion != candidate.recipe for candidate in candidates):
        candidates.append(Candidate(name="champion", role="champion", recipe=champion))
    return [*candidates, *BASELINES]


@task(cache_policy=NO_CACHE)
def train_and_score(
    config: PipelineConfig,
    studies: Artifact,
    candidates: list[Candidate],
    tuned: dict[str, Tuned],
    experiment: Experiment,
    parent: str,
) -> tuple[list[Score], dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """Each candidate's score, logged as a run, and its predictions beside the actual test ratings."""
    store = open_store()
    data, splits = store.input(studies, "ratings"), store.input(studies, "splits")
    snapshot, parts = Snapshot.load(data.path), Split.load(splits.path)
    ratings, items = snapshot.ratings, snapshot.items
    train = ratings.take(np.sort(np.concatenate((parts.train, parts.validation))))
    test = ratings.take(parts.test)
    tags = {"stage": "evaluate", "data": data.fingerprint, "split": splits.fingerprint}
    scores: list[Score] = []
    predictions: dict[str, NDArray[np.float32]] = {}
    for scored in score_candidates(candidates, train, test, config.evaluation):
        name = scored.score.candidate.name
        scores.append(log_scored(experiment, scored, train, test, items, tuned.get(name), tags, parent, data.path))
        predictions[name] = scored.predictions
        logger.info("%s: test RMSE %.4f (%.1f s)", name, scored.score.metrics["test_rmse"], scored.score.seconds)
    return scores, predictions, test.values


@task(cache_policy=NO_CACHE)
def publish(found: Evaluation, dataset: str) -> None:
    """Show the comparison in Prefect."""
    table = comparison(found.scores)
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    create_table_artifact(key=artifact_key("comparison", dataset), table=rows, description=found.decision.reason)
