"""Register: the chosen recipe, trained on all ratings, becomes the champion."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows.common import input_artifact, logger, open_store, parent_run
from flows.evaluate import load_evaluation
from mfcore import __version__
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.data.snapshot import Snapshot
from mfcore.evaluation.scoring import Evaluation, Score
from mfcore.metrics.objective import Objective
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.storage.artifacts import Artifact, fingerprint
from mfcore.storage.files import locked
from mfcore.tracking.models import log_model
from mfcore.tracking.notes import version_note
from mfcore.tracking.registry import Registered, Registry
from mfcore.tracking.runs import Experiment

__all__ = ["Registration", "register"]

_VERSION = 1


class Registration(BaseModel):
    """The champion, and whether it was that before."""

    champion: Registered
    reused: bool


@flow(name="register")
def register(
    config: PipelineConfig = PipelineConfig(), evaluation: Artifact | None = None, run_id: str | None = None
) -> Registration:
    """Register the recipe that the gate chose, trained on all ratings, and make it the champion.

    When the champion's recipe stays, it is trained anew on today's ratings all the same; the
    challenger that lost is registered under its alias, as it was scored.
    """
    evaluation = input_artifact(evaluation, "evaluations", resolve(config.dataset).name)
    settings = Settings.read()
    experiment = Experiment(settings, evaluation.dataset)
    registry = Registry(settings, evaluation.dataset)
    found = load_evaluation(evaluation)
    # Two runs at once would register the same model twice.
    with locked(open_store().home / registry.name), parent_run(experiment, "register", config, run_id) as parent:
        head = found.heads[Objective.RATING]
        version = train_on_all(evaluation, found.chosen(Objective.RATING), registry, experiment, parent)
        if head.chosen != head.challenger:
            register_challenger(evaluation, found, registry)
    before = registry.champion()
    champion = registry.promote(version.version)
    reused = before is not None and before.version == champion.version
    logger.info("registry: %s version %d %s the champion", champion.name, champion.version, "stays" if reused else "is")
    return Registration(champion=champion, reused=reused)


@task(cache_policy=NO_CACHE)
def train_on_all(
    evaluation: Artifact, score: Score, registry: Registry, experiment: Experiment, parent: str
) -> Registered:
    """Train the chosen recipe on all ratings and register it, unless the very same model is there."""
    store = open_store()
    data, splits = store.input(evaluation, "ratings"), store.input(evaluation, "splits")
    recipe = score.candidate.recipe
    key = fingerprint("model", _VERSION, __version__, recipe.fingerprint, data.fingerprint)
    found = registry.find(key)
    if found is not None:
        return found
    snapshot = Snapshot.load(data.path)
    ratings = snapshot.ratings
    bundle = Model.of(recipe.build().fit(ratings), ratings, snapshot.items)
    params = recipe.settings
    tags = {
        "stage": "register",
        "algorithm": recipe.algorithm,
        "data": data.fingerprint,
        "split": splits.fingerprint,
        "trained_on": "all",
    }
    with experiment.run(f"register-{recipe.algorithm}", parent=parent, tags=tags, params=params) as run_id:
        model_uri = log_model(bundle, run_id, recipe.algorithm, tags, params)
        experiment.log_metrics(run_id, score.headline, model_uri=model_uri)
        experiment.log_dataset(run_id, data.fingerprint, data.path, len(ratings), "training")
    return registry.add(
        model_uri,
        run_id,
        recipe=recipe,
        fingerprint=key,
        data=data.fingerprint,
        metrics=score.headline,
        description=version_note(
            recipe,
            f"{recipe.algorithm} trained on all {len(ratings):,} ratings. "
            f"Its metrics were measured on split {splits.fingerprint}, by the same recipe without the test ratings.",
            score.headline,
        ),
    )


@task(cache_policy=NO_CACHE)
def register_challenger(evaluation: Artifact, found: Evaluation, registry: Registry) -> None:
    """Register the finalist that the gate turned down, as it was scored, under the alias challenger."""
    head = found.heads[Objective.RATING]
    score = found.score_of(head.challenger)
    data = open_store().input(evaluation, "ratings")
    assert score.model_uri is not None and score.run_id is not None
    version = registry.add(
        score.model_uri,
        score.run_id,
        recipe=score.candidate.recipe,
        fingerprint=fingerprint("challenger", evaluation.fingerprint, score.candidate.name),
        data=data.fingerprint,
        metrics=score.headline,
        description=version_note(
            score.candidate.recipe,
            f"Turned down: {head.decision.reason}. Trained without the test ratings.",
            score.headline,
        ),
    )
    registry.set_challenger(version.version)
