"""Register: the chosen recipe, trained on all ratings, becomes the champion."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows.common import input_artifact, logger, open_store, parent_run
from flows.evaluate import load_evaluation
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.data.snapshot import Snapshot
from mfcore.evaluation.heads import MUST_BEAT
from mfcore.evaluation.scoring import Evaluation
from mfcore.metrics.objective import Objective
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, code_of, fingerprint
from mfcore.storage.files import locked
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import version_note
from mfcore.tracking.registry import Registered, Registry
from mfcore.tracking.runs import Experiment

__all__ = ["Registration", "register"]

_CODE = code_of("mfcore.models")


class Registration(BaseModel):
    """The champion, and whether it was that before."""

    champion: Registered
    reused: bool


@flow(name="register")
def register(
    config: PipelineConfig = PipelineConfig(), evaluation: Artifact | None = None, run_id: str | None = None
) -> Registration:
    """Register the recipes that the gate chose for the two heads, trained on all ratings, as the champion.

    Where the champion's recipe stays, it is trained anew on today's ratings all the same; a
    challenger that lost is registered under its alias, as it was scored.
    """
    evaluation = input_artifact(evaluation, "evaluations", resolve(config.dataset).name)
    settings = Settings.read()
    experiment = Experiment(settings, evaluation.dataset)
    registry = Registry(settings, evaluation.dataset)
    found = load_evaluation(evaluation)
    # Two runs at once would register the same model twice.
    with locked(open_store().home / registry.name), parent_run(experiment, "register", config, run_id) as parent:
        version = train_on_all(evaluation, found, registry, experiment, parent)
        register_challenger(evaluation, found, registry)
    before = registry.champion()
    champion = registry.succeed(version.version)
    if champion.version != version.version:
        logger.info("registry: version %d was rolled back, and is not promoted again", version.version)
    reused = before is not None and before.version == champion.version
    logger.info("registry: %s version %d %s the champion", champion.name, champion.version, "stays" if reused else "is")
    return Registration(champion=champion, reused=reused)


@task(cache_policy=NO_CACHE)
def train_on_all(
    evaluation: Artifact, found: Evaluation, registry: Registry, experiment: Experiment, parent: str
) -> Registered:
    """Train the chosen recipes on all ratings and register them as one model, unless the very same is there."""
    store = open_store()
    data, splits = store.input(evaluation, "ratings"), store.input(evaluation, "splits")
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
    algorithms = " and ".join(dict.fromkeys(recipe.algorithm for recipe in recipes.values()))
    tags = {
        "stage": "register",
        "algorithm": algorithms,
        "data": data.fingerprint,
        "split": splits.fingerprint,
        "trained_on": "all",
    }
    with experiment.run(
        f"register-{algorithms.replace(' and ', '-')}", parent=parent, tags=tags, params=params
    ) as run_id:
        model_uri = log_model(model, run_id, algorithms.replace(" and ", "-"), tags, params)
        experiment.log_metrics(run_id, found.headline, model_uri=model_uri)
        experiment.log_dataset(run_id, data.fingerprint, data.path, len(ratings), "training")
    return registry.add(
        model_uri,
        run_id,
        recipes=recipes,
        fingerprint=key,
        data=data.fingerprint,
        metrics=found.headline,
        description=version_note(
            recipes,
            f"Trained on all {len(ratings):,} ratings. Its metrics were measured on split {splits.fingerprint}, "
            "by the same recipes without the test ratings: errors of the rating head, lists of the ranking head.",
            found.headline,
        ),
    )


@task(cache_policy=NO_CACHE)
def register_challenger(evaluation: Artifact, found: Evaluation, registry: Registry) -> None:
    """Register a finalist that the gate turned down, as it was scored, under the alias challenger."""
    lost = [head for head in found.heads.values() if head.chosen != head.challenger]
    if not lost:
        return
    head = lost[0]
    score = found.score_of(head.challenger)
    data = open_store().input(evaluation, "ratings")
    if score.model_uri is None or score.run_id is None:  # a baseline that was tuned as well: it has no model of its own
        return
    recipes = {head.objective: score.candidate.recipe}
    version = registry.add(
        score.model_uri,
        score.run_id,
        recipes=recipes,
        fingerprint=fingerprint("challenger", evaluation.fingerprint, score.candidate.name),
        data=data.fingerprint,
        metrics=score.headline,
        description=version_note(
            recipes,
            f"Turned down for {head.objective}: {head.warning or head.decision.reason}. "
            "Trained without the test ratings.",
            score.headline,
        ),
    )
    registry.set_challenger(version.version)
