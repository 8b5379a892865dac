"""Export, the final flow: from the registry's champion to files that others use."""

from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import BaseModel

from flows.common import artifact_key, logger
from flows.turns import turn
from mfcore.config import PipelineConfig
from mfcore.data.catalog import resolve
from mfcore.serving.export import export_model, point_latest
from mfcore.settings import Settings
from mfcore.tracking.registry import Registered, Registry

__all__ = ["Exported", "export"]


class Exported(BaseModel):
    """Where an export lies, and what it was made from."""

    path: Path
    model: Registered
    reused: bool


@flow(name="export")
def export(config: PipelineConfig = PipelineConfig(), dataset: str | None = None) -> Exported:
    """Pull the champion from the registry and write its factors and everybody's recommendations.

    The data set is the configuration's, or the one named by `dataset` as in `mfcore-<dataset>`.
    """
    settings = Settings.read()
    dataset = dataset or resolve(config.dataset).name
    with turn(dataset):
        champion = Registry(settings, dataset).require_champion()
        exported = write(config, settings, champion)
    publish(exported)
    logger.info("export: %s (%s)", exported.path, "reused" if exported.reused else "made")
    return exported


@task(cache_policy=NO_CACHE)
def write(config: PipelineConfig, settings: Settings, champion: Registered) -> Exported:
    """Write the champion's files, then move the pointer `latest` to them."""
    dataset = champion.name.removeprefix("mfcore-")
    target = settings.exports / dataset / str(champion.version)
    bundle = Registry(settings, dataset).pull(champion)
    head = {
        "dataset": dataset,
        "model_uri": champion.uri,
        "model_version": champion.version,
        "run_id": champion.run_id,
        "data_fingerprint": champion.data,
        "recipes": {str(objective): recipe.model_dump() for objective, recipe in champion.recipes.items()},
        "metrics": champion.metrics,
    }
    written = export_model(bundle, target, head, config.export)
    point_latest(target)
    return Exported(path=target, model=champion, reused=not written)


@task(cache_policy=NO_CACHE)
def publish(exported: Exported) -> None:
    """Say in Prefect what lies where."""
    files = "\n".join(
        f"| {path.name} | {path.stat().st_size:,} |" for path in sorted(exported.path.iterdir()) if path.is_file()
    )
    text = f"`{exported.path}`, made from `{exported.model.uri}`\n\n| file | bytes |\n|---|---|\n{files}\n"
    create_markdown_artifact(key=artifact_key("export", exported.path.parent.name), markdown=text)
