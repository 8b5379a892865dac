"""Levers: what each costs and brings, on the lists of the recipe that an evaluation chose."""

from typing import Any

from mfcore.config import ListsConfig
from mfcore.data.snapshot import Snapshot
from mfcore.data.splitting import Split
from mfcore.evaluation.levers import cost_of_levers, levers_tried
from mfcore.metrics import Evaluator
from mfcore.metrics.objective import Objective
from mfcore.models.knn import ItemKNN
from mfcore.models.model import Model
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.storage.artifacts import Artifact
from mfcore.storage.kinds import Kind

__all__ = ["levers_of", "measure_levers"]


def measure_levers(context: Context, evaluation: Artifact) -> list[dict[str, Any]]:
    """The rows of `levers_of`, with the recipe for lists trained anew on train and validation.

    Raises:
        NothingToWorkFrom: what the evaluation was made from is not there any more.
        UsageError: the section `lists` of the configuration asks for what items do not have, or leaves none.
    """
    result = load_evaluation(evaluation)
    splits = context.store.input(evaluation, Kind.SPLITS)
    snapshot = Snapshot.load(context.store.input(splits, Kind.RATINGS).path)
    evaluator = Evaluator(snapshot.ratings, Split.load(splits.path), snapshot.items, context.config.evaluation)
    chosen = result.chosen(Objective.RANKING if Objective.RANKING in result.heads else Objective.RATING)
    known = evaluator.known
    factors = chosen.candidate.recipe.build().train(known)
    few = known.n_items <= context.config.evaluation.max_baseline_items
    neighbors = ItemKNN.for_lists(known.scale).train(known) if few or context.config.lists.knn_share else None
    return levers_of(Model.of(factors, known, snapshot.items, None, neighbors), evaluator, context.config.lists)


def levers_of(model: Model, evaluator: Evaluator, configured: ListsConfig) -> list[dict[str, Any]]:
    """The rows of `cost_of_levers` for all levers that items and model allow, and those of the configuration.

    Raises:
        UsageError: the configuration asks for what items do not have, or leaves none.
    """
    return list(cost_of_levers(model, evaluator, levers_tried(configured, model)))
