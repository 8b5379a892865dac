"""Evaluate: each search's best recipe, their blend, the champion's and the baselines on the same test ratings."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.common import artifact_key, dataset_of, input_artifact, logger, open_store, parent_run, report
from flows.tune import load_tuned, studies_of
from mfcore.config import PipelineConfig
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.evaluation.blending import blend_of
from mfcore.evaluation.candidates import Candidate, assemble
from mfcore.evaluation.heads import judge
from mfcore.evaluation.scoring import Evaluation, Score, comparison, comparisons
from mfcore.evaluation.scoring import evaluate as score_candidates
from mfcore.metrics import Estimate, Evaluator
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import Recipe
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.tracking.finalists import log_comparison, log_scored
from mfcore.tracking.notes import evaluation_note
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tuning import Tuned
from mfcore.tuning.folds import folds_of

__all__ = ["evaluate", "load_evaluation"]

_CODE = code_of("mfcore.models", "mfcore.metrics", "mfcore.evaluation")
_FILE = "evaluation.json"


@flow(name="evaluate")
def evaluate(
    config: PipelineConfig = PipelineConfig(), studies: Artifact | None = None, run_id: str | None = None
) -> Artifact:
    """Retrain on train + validation, score once on test, and let the gate choose the next champion's recipe."""
    settings, dataset = Settings.read(), studies.dataset if studies else dataset_of(config)
    experiment = Experiment(settings, dataset)
    champion = Registry(settings, dataset).champion()
    with parent_run(experiment, "evaluate", config, run_id) as parent:
        studies = input_artifact(studies, "studies", config, partial(studies_of, run_id=parent))
        evaluation = score(config, studies, champion.recipes if champion else {}, experiment, parent)
        found = load_evaluation(evaluation)
        experiment.note(parent, evaluation_note(found, experiment.id))
    publish(found, evaluation.dataset)
    for head in found.heads.values():
        if head.warning is not None:
            logger.warning("%s: %s", head.objective, head.warning)
    return report(evaluation, "; ".join(f"{head.chosen} for {head.objective}" for head in found.heads.values()))


def load_evaluation(evaluation: Artifact) -> Evaluation:
    """What an evaluation found."""
    return Evaluation.model_validate_json((evaluation.path / _FILE).read_text(encoding="utf-8"))


def score(
    config: PipelineConfig,
    studies: Artifact,
    champion: Mapping[Objective, Recipe],
    experiment: Experiment,
    parent: str,
) -> Artifact:
    """Score all candidates and decide, unless that has been done in this store."""
    tuned = load_tuned(studies)
    held = {objective: recipe.fingerprint for objective, recipe in champion.items()}
    settings = [config.evaluation.model_dump(), config.registration.model_dump()]
    key = fingerprint("evaluations", _CODE, studies.fingerprint, held, settings, experiment.identity)

    def write(folder: Path) -> dict[str, Any]:
        candidates = _candidates(config, studies, tuned, champion)
        scores, slices, estimates, curves = train_and_score(config, studies, candidates, experiment, parent)
        k, rules = config.evaluation.ks[0], config.registration
        judged = {one: judge(one, candidates, estimates, k, champion.get(one), rules) for one in Objective}
        found = Evaluation(
            scores=scores,
            comparisons=comparisons(estimates),
            slices=slices,
            heads={objective: head for objective, head in judged.items() if head is not None},
        )
        (folder / _FILE).write_text(found.model_dump_json(indent=1), encoding="utf-8")
        found.measures().to_parquet(folder / "measures.parquet", index=False)
        pd.DataFrame([one.model_dump() for one in found.comparisons]).to_parquet(
            folder / "comparisons.parquet", index=False
        )
        curves.to_parquet(folder / "learning_curves.parquet", index=False)
        log_comparison(experiment, scores, parent)
        return {objective.value: head.model_dump(mode="json") for objective, head in found.heads.items()}

    return open_store().make("evaluations", studies.dataset, key, write, [studies])


def _candidates(
    config: PipelineConfig, studies: Artifact, tuned: dict[str, Tuned], champion: Mapping[Objective, Recipe]
) -> list[Candidate]:
    """The finalists and their blend, the champion's recipe where it is none of theirs, and the baselines."""
    store = open_store()
    ratings = Snapshot.load(store.input(studies, "ratings").path).ratings
    parts = Split.load(store.input(studies, "splits").path)
    finalists = [
        Candidate(
            name=name,
            role="finalist",
            objectives=(found.objective,),
            recipe=found.recipe,
            validation={found.metric_name: found.value},
        )
        for name, found in tuned.items()
    ]
    folds = folds_of(ratings.take(parts.train), ratings.take(parts.validation), config.tuning)
    sticks = [Yardstick.of(objective, config.tuning, config.evaluation) for objective in Objective]
    blends = [blend for stick in sticks if (blend := blend_of(stick, finalists, folds)) is not None]
    return assemble([*finalists, *blends], champion, ratings.n_items, config.evaluation)


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
    reasons = "; ".join(f"{head.objective}: {head.decision.reason}" for head in found.heads.values())
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    create_table_artifact(key=artifact_key("comparison", dataset), table=rows, description=reasons)
