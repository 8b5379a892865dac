"""Register: the chosen recipes, trained on all ratings, become the champion."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from mfcore.data.acceptance import CHECKS
from mfcore.data.ratings import Ratings
from mfcore.data.snapshot import Snapshot
from mfcore.errors import TrainingDiverged
from mfcore.evaluation.rules import Facts, Rule, drift_rules, failed
from mfcore.evaluation.scoring import Evaluation, Score
from mfcore.metrics.objective import Objective
from mfcore.metrics.similar import genres_of, similar_metrics
from mfcore.metrics.slices import ALL
from mfcore.models import Recipe
from mfcore.models.cold_items import score_on_held_out, with_unrated
from mfcore.models.knn import ItemKNN
from mfcore.models.model import Model
from mfcore.stages.context import Context, ParentRun
from mfcore.stages.evaluate import load_evaluation
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.files import locked
from mfcore.storage.kinds import Kind
from mfcore.tracking.card import CARD, model_card
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import version_note
from mfcore.tracking.registry import Registered

__all__ = ["Registration", "register_champion"]

logger = logging.getLogger("mfcore.stages")

_CODE = code_of("mfcore.models")
_VERSION = "version"
"""What the gate's rules on the model itself are of, as it is after training on all ratings."""
_MOST_PREDICTED = 100_000
"""Ratings that are predicted to see whether they are on the scale."""
_MOST_SHOWN = 1000
"""Characters of a tag."""


@dataclass(frozen=True)
class _Made:
    """A model that is logged and not registered yet.

    Attributes:
        model_uri: what MLflow loads it by.
        run_id: the run that made it.
        recipes: how each head was made.
        fingerprint: of what it was made from.
        scores: of the recipes.
        metrics: the scores' test metrics that the version is shown with.
    """

    model_uri: str
    run_id: str
    recipes: Mapping[Objective, Recipe]
    fingerprint: str
    scores: Sequence[Score]
    metrics: dict[str, float]

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % intervals of `metrics`, of those that have one."""
        return {
            f"test_{measure.metric}": (measure.low, measure.high)
            for score in self.scores
            for measure in score.measures
            if measure.slice == ALL and measure.low is not None and measure.high is not None
            if self.metrics.get(f"test_{measure.metric}") == measure.value
        }


class Registration(BaseModel):
    """The champion, and whether it was that before."""

    champion: Registered
    reused: bool


def register_champion(context: Context, evaluation: Artifact | None = None) -> Registration:
    """Register the recipes that the gate chose for the two heads, trained on all ratings, as the champion.

    Where the champion's recipe stays, it is trained anew on today's ratings all the same; a
    challenger that lost is registered under its alias, as it was scored. If the ratings drifted
    further than may be, the champion before stays, where there is one.

    Raises:
        MfcoreError: a stage before is run because its output is lacking, and fails.
        TrainingDiverged: the model is not finite, or predicts ratings that can't be given; it is not registered.
    """
    registry = context.registry
    # Two runs at once would register the same model twice.
    with locked(context.store.home / registry.name), context.parent_run("register") as run:
        source = context.input(evaluation, Kind.EVALUATIONS)
        result = load_evaluation(source)
        splits = context.store.input(source, Kind.SPLITS)
        data = context.store.input(splits, Kind.RATINGS)
        version = context.observer.step("train_on_all", lambda: _train_on_all(context, data, splits, result, run))
        context.observer.step(
            "register_challenger", lambda: _register_challenger(context, source, data, splits, result)
        )
        drift = drift_rules(json.loads((data.path / CHECKS).read_text(encoding="utf-8")), context.config.drift)
        sound = [rule for rule in version.verdict if rule.of == _VERSION]
        _publish(context, result, [*_asked(result), *sound, *drift], run)
    before, problem = registry.champion(), failed(drift)
    if before is not None and before.version != version.version and problem:
        logger.warning("registry: version %d does not pass the gate: %s", version.version, problem)
        registry.set_challenger(version.version, f"did not pass the gate: {problem}")
        champion = before
    else:
        champion = registry.succeed(version.version, _why(result))
        if champion.version != version.version:
            logger.info("registry: version %d was rolled back, and is not promoted again", version.version)
    reused = before is not None and before.version == champion.version
    if not reused:
        facts = {"version": champion.version, "before": before.version if before else None, "model_uri": champion.uri}
        context.observer.announce("champion.promoted", champion.dataset, **facts)
    logger.info("registry: %s version %d %s the champion", champion.name, champion.version, "stays" if reused else "is")
    return Registration(champion=champion, reused=reused)


def _why(evaluation: Evaluation) -> str:
    """What brought a version there, in a few words."""
    heads = []
    for head in evaluation.heads.values():
        gain = head.decision.difference
        figure = "" if gain is None or head.status != "promoted" else f" ({head.metric} {gain:+.4f})"
        heads.append(f"{head.objective} {head.status}{figure}")
    return f"{', '.join(heads)}, by a run"


def _publish(context: Context, evaluation: Evaluation, rules: Sequence[Rule], run: ParentRun) -> None:
    """Show the verdict as a table, and what came of it as tags of the run."""
    reasons = "; ".join(f"{head.objective}: {head.decision.reason}" for head in evaluation.heads.values())
    context.observer.show_table(f"gate-{context.dataset_name}", [rule.row for rule in rules], reasons)
    tags = {f"verdict_{objective}": f"{head.status}: {head.chosen}" for objective, head in evaluation.heads.items()}
    if run.has_begun:
        context.experiment.tag(run.id, {**tags, "verdict": failed(rules)[:_MOST_SHOWN] or "every rule is kept to"})


def _asked(evaluation: Evaluation) -> list[Rule]:
    """The gate's rules on the recipes of all heads."""
    return [rule for head in evaluation.heads.values() for rule in head.rules]


def _train_on_all(
    context: Context, data: Artifact, splits: Artifact, evaluation: Evaluation, run: ParentRun
) -> Registered:
    """Train the chosen recipes on all ratings and register them as one model, unless the very same is there."""
    registry, experiment = context.registry, context.experiment
    recipes = evaluation.recipes
    named = {str(objective): recipe.fingerprint for objective, recipe in recipes.items()}
    cold = context.config.cold_items
    with_neighbors = context.config.lists.knn_share > 0
    kept = [*([cold.model_dump()] if cold.enabled else []), *(["neighbors"] if with_neighbors else [])]
    key = fingerprint("model", _CODE, named, data.fingerprint, *kept)
    registered = registry.find(key)
    if registered is not None:
        return registered
    snapshot = Snapshot.load(data.path)
    ratings = snapshot.ratings
    fits = {recipe.fingerprint: recipe for recipe in recipes.values()}
    trained = {name: recipe.build().train(ratings) for name, recipe in fits.items()}
    heads = {objective: trained[recipe.fingerprint] for objective, recipe in recipes.items()}
    ranking = heads.get(Objective.RANKING)
    rating = heads[Objective.RATING]
    neighbors = ItemKNN.for_lists(ratings.scale).train(ratings) if with_neighbors else None
    model = Model.of(rating, ratings, snapshot.items, None if ranking is rating else ranking, neighbors)
    sound = _sound(model, ratings)
    if failed(sound):
        raise TrainingDiverged(f"the model trained on all ratings is not registered: {failed(sound)}.")
    params = {
        f"{objective}.{name}": value for objective, recipe in recipes.items() for name, value in recipe.settings.items()
    }
    algorithms = list(dict.fromkeys(recipe.algorithm for recipe in recipes.values()))
    tags = {
        "stage": "register",
        "algorithm": " and ".join(algorithms),
        "data": data.fingerprint,
        "split": splits.fingerprint,
        "trained_on": "all",
    }
    name = "-".join(algorithms)
    with experiment.run(f"register-{name}", parent=run.id, tags=tags, params=params) as own:
        table = snapshot.items if cold.enabled else None
        whole = model if table is None else with_unrated(model, table, cold.reg)
        model_uri = log_model(whole, own, name, tags, params)
        # How far neighbors depend on chance is seen by training what finds them once more.
        finds = recipes[Objective.RANKING if model.likeness is ranking else Objective.RATING].build()
        again = finds.reseeded(finds.seed + 1).train(ratings)
        similar = similar_metrics(model.likeness, again, ratings, genres_of(snapshot.items, ratings.item_ids))
        if table is not None:
            similar |= score_on_held_out(recipes[Objective.RATING].build(), ratings, table, cold.reg)
        experiment.log_metrics(own, {**evaluation.headline, **similar}, model_uri=model_uri)
        experiment.log_dataset(own, data.fingerprint, data.path, len(ratings), "training")
    return _add(
        context,
        _Made(
            model_uri,
            own,
            recipes,
            key,
            [evaluation.chosen(objective) for objective in evaluation.heads],
            evaluation.headline,
        ),
        evaluation,
        data,
        splits,
        ratings,
        [*_asked(evaluation), *sound],
        key="card",
        trained_on=f"all {len(ratings):,} ratings",
        summary=f"Trained on all {len(ratings):,} ratings. Its metrics were measured on split {splits.fingerprint}, "
        "by the same recipes without the test ratings: errors of the rating head, lists of the ranking head.",
    )


def _sound(model: Model, ratings: Ratings) -> list[Rule]:
    """That the model is finite and predicts ratings that can be given."""
    rows = np.linspace(0, len(ratings) - 1, min(len(ratings), _MOST_PREDICTED)).astype(np.int64)
    predictions = model.factors.predict(ratings.users[rows], ratings.items[rows])
    facts = [Facts.of(head, predictions) for head in (model.factors, model.lists)]
    whole = facts[0].model_copy(update={"not_finite": sum(head.not_finite for head in facts)})
    return whole.rules(_VERSION, Objective.RATING)


def _register_challenger(
    context: Context, evaluation: Artifact, data: Artifact, splits: Artifact, result: Evaluation
) -> None:
    """Register a finalist that the gate turned down, as it was scored, under the alias challenger."""
    lost = [head for head in result.heads.values() if head.chosen != head.challenger]
    if not lost:
        return
    head = lost[0]
    score = result.score_of(head.challenger)
    if score.model_uri is None or score.run_id is None:  # a baseline that was tuned as well: it has no model of its own
        return
    key = fingerprint("challenger", evaluation.fingerprint, score.candidate.name)
    recipes = {head.objective: score.candidate.recipe}
    version = context.registry.find(key) or _add(
        context,
        _Made(score.model_uri, score.run_id, recipes, key, [score], score.headline),
        result,
        data,
        splits,
        Ratings.load(data.path),
        [rule for rule in head.rules if rule.of == head.challenger],
        key="card-challenger",
        trained_on="train and validation ratings",
        summary=f"Turned down for {head.objective}: {head.warning or head.decision.reason}. "
        "Trained without the test ratings.",
    )
    context.registry.set_challenger(version.version)


def _add(
    context: Context,
    made: _Made,
    evaluation: Evaluation,
    data: Artifact,
    splits: Artifact,
    ratings: Ratings,
    rules: Sequence[Rule],
    *,
    key: str,
    trained_on: str,
    summary: str,
) -> Registered:
    """Write the model card, then register the model; who finds the version finds the card."""
    experiment = context.experiment
    card = model_card(
        context.dataset_name,
        context.described,
        ratings,
        made.recipes,
        evaluation,
        rules,
        trained_on=trained_on,
        data=data.fingerprint,
        split=splits.fingerprint,
    )
    experiment.log_text(made.run_id, card, CARD)
    context.observer.show_text(f"{key}-{context.dataset_name}", card)
    note = version_note(made.recipes, summary, made.metrics, rules, experiment_id=experiment.id, run_id=made.run_id)
    experiment.note(made.run_id, note)
    return context.registry.add(
        made.model_uri,
        made.run_id,
        recipes=made.recipes,
        fingerprint=made.fingerprint,
        data=data.fingerprint,
        split=splits.fingerprint,
        metrics=made.metrics,
        intervals=made.intervals,
        trained_on={"ratings": len(ratings), "users": ratings.n_users, "items": ratings.n_items},
        verdict=rules,
        description=note,
    )
