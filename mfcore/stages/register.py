"""Register: the chosen recipes, trained on all ratings, become the champion."""

import logging

from pydantic import BaseModel

from mfcore.data.snapshot import Snapshot
from mfcore.evaluation.heads import MUST_BEAT
from mfcore.evaluation.scoring import Evaluation
from mfcore.metrics.objective import Objective
from mfcore.metrics.similar import genres_of, similar_metrics
from mfcore.models.model import Model
from mfcore.stages.context import Context
from mfcore.stages.evaluate import load_evaluation
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.files import locked
from mfcore.storage.kinds import Kind
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import version_note
from mfcore.tracking.registry import Registered

__all__ = ["Registration", "register_champion"]

logger = logging.getLogger("mfcore.stages")

_CODE = code_of("mfcore.models")


class Registration(BaseModel):
    """The champion, and whether it was that before."""

    champion: Registered
    reused: bool


def register_champion(context: Context, evaluation: Artifact | None = None) -> Registration:
    """Register the recipes that the gate chose for the two heads, trained on all ratings, as the champion.

    Where the champion's recipe stays, it is trained anew on today's ratings all the same; a
    challenger that lost is registered under its alias, as it was scored.

    Raises:
        MfcoreError: a stage before is run because its output is lacking, and fails.
    """
    registry = context.registry
    # Two runs at once would register the same model twice.
    with locked(context.store.home / registry.name), context.parent_run("register") as run_id:
        source = context.input(evaluation, Kind.EVALUATIONS)
        found = load_evaluation(source)
        splits = context.store.input(source, Kind.SPLITS)
        data = context.store.input(splits, Kind.RATINGS)
        version = context.observer.step("train_on_all", lambda: _train_on_all(context, data, splits, found, run_id))
        context.observer.step("register_challenger", lambda: _register_challenger(context, source, data, splits, found))
    before = registry.champion()
    champion = registry.succeed(version.version)
    if champion.version != version.version:
        logger.info("registry: version %d was rolled back, and is not promoted again", version.version)
    reused = before is not None and before.version == champion.version
    if not reused:
        facts = {"version": champion.version, "before": before.version if before else None, "model_uri": champion.uri}
        context.observer.announce("champion.promoted", champion.dataset, **facts)
    logger.info("registry: %s version %d %s the champion", champion.name, champion.version, "stays" if reused else "is")
    return Registration(champion=champion, reused=reused)


def _train_on_all(context: Context, data: Artifact, splits: Artifact, found: Evaluation, run_id: str) -> Registered:
    """Train the chosen recipes on all ratings and register them as one model, unless the very same is there."""
    registry, experiment = context.registry, context.experiment
    recipes = {objective: found.chosen(objective).candidate.recipe for objective in found.heads}
    recipes.setdefault(Objective.RATING, MUST_BEAT[Objective.RATING])
    named = {str(objective): recipe.fingerprint for objective, recipe in recipes.items()}
    key = fingerprint("model", _CODE, named, data.fingerprint)
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
    model = Model.of(rating, ratings, snapshot.items, None if ranking is rating else ranking)
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
    with experiment.run(f"register-{name}", parent=run_id, tags=tags, params=params) as own:
        model_uri = log_model(model, own, name, tags, params)
        # How far neighbors depend on chance is seen by training what finds them once more.
        finds = recipes[Objective.RANKING if model.likeness is ranking else Objective.RATING].build()
        again = finds.reseeded(finds.seed + 1).train(ratings)
        similar = similar_metrics(model.likeness, again, ratings, genres_of(snapshot.items, ratings.item_ids))
        experiment.log_metrics(own, {**found.headline, **similar}, model_uri=model_uri)
        experiment.log_dataset(own, data.fingerprint, data.path, len(ratings), "training")
    return registry.add(
        model_uri,
        own,
        recipes=recipes,
        fingerprint=key,
        data=data.fingerprint,
        split=splits.fingerprint,
        metrics=found.headline,
        description=version_note(
            recipes,
            f"Trained on all {len(ratings):,} ratings. Its metrics were measured on split {splits.fingerprint}, "
            "by the same recipes without the test ratings: errors of the rating head, lists of the ranking head.",
            found.headline,
        ),
    )


def _register_challenger(
    context: Context, evaluation: Artifact, data: Artifact, splits: Artifact, found: Evaluation
) -> None:
    """Register a finalist that the gate turned down, as it was scored, under the alias challenger."""
    lost = [head for head in found.heads.values() if head.chosen != head.challenger]
    if not lost:
        return
    head = lost[0]
    score = found.score_of(head.challenger)
    if score.model_uri is None or score.run_id is None:  # a baseline that was tuned as well: it has no model of its own
        return
    recipes = {head.objective: score.candidate.recipe}
    version = context.registry.add(
        score.model_uri,
        score.run_id,
        recipes=recipes,
        fingerprint=fingerprint("challenger", evaluation.fingerprint, score.candidate.name),
        data=data.fingerprint,
        split=splits.fingerprint,
        metrics=score.headline,
        description=version_note(
            recipes,
            f"Turned down for {head.objective}: {head.warning or head.decision.reason}. "
            "Trained without the test ratings.",
            score.headline,
        ),
    )
    context.registry.set_challenger(version.version)
