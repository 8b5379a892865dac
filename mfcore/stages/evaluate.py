"""Evaluate: each search's best recipe, their blend, the champion's and the baselines on the same test ratings."""

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from mfcore.config import PipelineConfig
from mfcore.data.ratings import Ratings
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.evaluation.blending import blend_of
from mfcore.evaluation.candidates import Candidate, assemble
from mfcore.evaluation.fits import fits_in_workers
from mfcore.evaluation.heads import judge
from mfcore.evaluation.rules import Facts
from mfcore.evaluation.scoring import Evaluation, Score, comparison, comparisons, evaluate
from mfcore.machine import n_threads
from mfcore.metrics import Estimate, Evaluator
from mfcore.metrics.objective import Objective
from mfcore.metrics.yardstick import Yardstick
from mfcore.models import MODELS, Recipe
from mfcore.stages.context import Context, ParentRun
from mfcore.stages.observer import Move
from mfcore.stages.together import n_together
from mfcore.stages.tune import load_tuned, studies_of
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.kinds import Kind
from mfcore.tracking.finalists import FinalistLog, log_comparison
from mfcore.tracking.notes import evaluation_note
from mfcore.tuning import Tuned
from mfcore.tuning.folds import folds_of

__all__ = ["evaluate_recipes", "load_evaluation"]

logger = logging.getLogger("mfcore.stages")

_CODE = code_of("mfcore.models", "mfcore.metrics", "mfcore.evaluation")
_FILE = "evaluation.json"

_WHY_NONE = {
    Objective.RATING: "tuning was stopped before",
    Objective.RANKING: "nobody liked a validation or a test item, or tuning was stopped before",
}
"""Why an objective that was to be tuned for has no head."""
_FITS = 3
"""Trainings that a candidate takes, about: on all it may know, without cold-start users, for its learning curve."""


def evaluate_recipes(context: Context, studies: Artifact | None = None) -> Artifact:
    """Retrain on train + validation, score once on test, and let the gate choose the next champion's recipe.

    Raises:
        MfcoreError: a stage before is run because its output is lacking, and fails.
        TrainingDiverged: a recipe leaves the range of numbers.
    """
    champion = context.registry.champion()
    with context.parent_run("evaluate") as run:
        source = studies or studies_of(context)
        evaluation = _score(context, source, champion.recipes if champion else {}, run)
        result = load_evaluation(evaluation)
        if run.has_begun:
            context.experiment.note(run.id, evaluation_note(result, context.experiment.id))
    context.observer.step("publish", lambda: _publish(context, result))
    for head in result.heads.values():
        if head.warning is not None:
            logger.warning("%s: %s", head.objective, head.warning)
    return context.report(
        evaluation, "; ".join(f"{head.chosen} for {head.objective}" for head in result.heads.values())
    )


def load_evaluation(evaluation: Artifact) -> Evaluation:
    """What an evaluation found."""
    return Evaluation.model_validate_json((evaluation.path / _FILE).read_text(encoding="utf-8"))


def _score(context: Context, studies: Artifact, champion: Mapping[Objective, Recipe], run: ParentRun) -> Artifact:
    """Score all candidates and decide, unless that has been done in this store."""
    config, experiment = context.config, context.experiment
    tuned = load_tuned(studies)
    held = {str(objective): recipe.fingerprint for objective, recipe in champion.items()}
    settings = [config.evaluation.model_dump(), config.registration.model_dump()]
    asked = fingerprint("evaluations", _CODE, studies.fingerprint, settings, experiment.identity)
    if context.store.has(Kind.EVALUATIONS, studies.dataset, asked=asked, chosen=held):
        # The champion is what this very evaluation chose: scoring it once more would tell nothing new.
        return context.store.newest(Kind.EVALUATIONS, studies.dataset, asked=asked, chosen=held)
    key = fingerprint(asked, held)

    def write(folder: Path) -> dict[str, Any]:
        splits = context.store.input(studies, Kind.SPLITS)
        data = context.store.input(splits, Kind.RATINGS)
        with context.observer.progress(f"evaluation-{context.dataset_name}", "evaluation", "candidates") as move:
            move(0, len(tuned), "fitting blends")
            candidates, evaluator, items = _prepared(config, data, splits, tuned, champion)
            tags = {"stage": "evaluate", "data": data.fingerprint, "split": splits.fingerprint}
            log = FinalistLog(experiment, evaluator.known, evaluator.test, items, tags, run.id, data.path)
            home = context.store.home / "evaluations"
            scores, estimates, facts, curves = context.observer.step(
                "train_and_score", lambda: _train_and_score(candidates, evaluator, log, home, move)
            )
        k, rules = config.evaluation.ks[0], config.registration
        judged = {
            objective: judge(objective, candidates, estimates, facts, k, champion.get(objective), rules)
            for objective in Objective
        }
        wanted = {objective for objective, _ in config.tuning.studies}
        result = Evaluation(
            scores=scores,
            comparisons=comparisons(estimates),
            slices=evaluator.meanings,
            heads={objective: head for objective, head in judged.items() if head is not None},
            left_out={
                objective: _WHY_NONE[objective]
                for objective, head in judged.items()
                if head is None and objective in wanted
            },
        )
        (folder / _FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
        result.measures().to_parquet(folder / "measures.parquet", index=False)
        pd.DataFrame([pair.model_dump() for pair in result.comparisons]).to_parquet(
            folder / "comparisons.parquet", index=False
        )
        curves.to_parquet(folder / "learning_curves.parquet", index=False)
        log_comparison(experiment, scores, run.id)
        heads = {objective.value: head.model_dump(mode="json") for objective, head in result.heads.items()}
        recipes = {str(objective): recipe.fingerprint for objective, recipe in result.recipes.items()}
        return {**heads, "asked": asked, "chosen": recipes}

    return context.store.make(Kind.EVALUATIONS, studies.dataset, key, write, [studies])


def _prepared(
    config: PipelineConfig,
    data: Artifact,
    splits: Artifact,
    tuned: Mapping[str, Tuned],
    champion: Mapping[Objective, Recipe],
) -> tuple[list[Candidate], Evaluator, pd.DataFrame | None]:
    """The candidates, what measures them, and the table of items; of the ratings its own copies are left."""
    snapshot, parts = Snapshot.load(data.path), Split.load(splits.path)
    candidates = _candidates(config, snapshot.ratings.without_times(), parts, tuned, champion)
    return candidates, Evaluator(snapshot.ratings, parts, snapshot.items, config.evaluation), snapshot.items


def _candidates(
    config: PipelineConfig,
    ratings: Ratings,
    parts: Split,
    tuned: Mapping[str, Tuned],
    champion: Mapping[Objective, Recipe],
) -> list[Candidate]:
    """The finalists and their blend, the champion's recipe where it is none of theirs, and the baselines."""
    finalists = [
        Candidate(
            name=name,
            role="finalist",
            objectives=(tuned_recipe.objective,),
            recipe=tuned_recipe.recipe,
            validation={tuned_recipe.metric_name: tuned_recipe.value},
        )
        for name, tuned_recipe in tuned.items()
    ]
    train, validation = ratings.take(parts.train), ratings.take(parts.validation)
    sticks = [Yardstick.of(objective, config.tuning, config.evaluation) for objective in Objective]
    blends = [
        blend_of(yardstick, finalists, folds_of(train, validation, config.tuning, yardstick)) for yardstick in sticks
    ]
    some = [blend for blend in blends if blend is not None]
    return assemble([*finalists, *some], champion, ratings.n_items, config.evaluation)


def _train_and_score(
    candidates: list[Candidate], evaluator: Evaluator, log: FinalistLog, home: Path, move: Move
) -> tuple[list[Score], dict[str, dict[str, Estimate]], dict[str, Facts], pd.DataFrame]:
    """Each candidate's score, logged as a run; estimates to compare; what else the gate asks; learning curves."""
    estimates: dict[str, dict[str, Estimate]] = {}
    facts: dict[str, Facts] = {}
    curves = []
    side_by_side = n_together(len(candidates), _FITS * len(candidates), len(evaluator.known))
    if any(MODELS[candidate.recipe.algorithm].elsewhere for candidate in candidates):
        side_by_side = 1
    with ExitStack() as stack:
        fits = None
        if side_by_side > 1:
            fits = stack.enter_context(fits_in_workers(evaluator, side_by_side, n_threads() // side_by_side, home))
        stack.enter_context(log)
        for number, scored in enumerate(evaluate(candidates, evaluator, fits), start=1):
            name = scored.score.candidate.name
            log.add(scored)
            estimates[name] = scored.estimates
            facts[name] = Facts.of(scored.factors, scored.predictions, scored.score.measure("coverage"))
            curves.append(scored.curve.frame().assign(model=name))
            move(number, len(candidates), name)
            logger.info("%s: %s, trained in %.1f s", name, _in_words(scored.score), scored.score.seconds)
        return log.scores(), estimates, facts, pd.concat(curves, ignore_index=True)


def _in_words(score: Score) -> str:
    """What a candidate was scored at, by what it competes for."""
    names = {Objective.RATING: "rmse", Objective.RANKING: "ndcg"}
    measures = [score.measure(names[objective]) for objective in score.candidate.objectives]
    return ", ".join(f"test_{measure.metric} {measure.value:.4f}" for measure in measures if measure.value is not None)


def _publish(context: Context, result: Evaluation) -> None:
    """Show the comparison."""
    table = comparison(result.scores)
    reasons = "; ".join(f"{head.objective}: {head.decision.reason}" for head in result.heads.values())
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    context.observer.show_table(f"comparison-{context.dataset_name}", rows, reasons)
