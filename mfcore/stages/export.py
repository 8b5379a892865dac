"""Export: from the registry's champion to files that others use."""

import logging
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mfcore.serving.export import export_model, point_latest
from mfcore.serving.interleaving import Contender
from mfcore.serving.published import publish_export
from mfcore.serving.shares import Machines
from mfcore.serving.sink import write_tables
from mfcore.stages.context import Context
from mfcore.storage.artifacts import is_whole
from mfcore.storage.files import locked
from mfcore.tracking.registry import Registered

__all__ = ["Exported", "export_champion"]

logger = logging.getLogger("mfcore.stages")


class Exported(BaseModel):
    """Where an export lies, what it was made from, and the version that a database shows if it went to one.

    Where exports go to an object store, `url` is its folder there, and `path` where it was written first.
    """

    path: Path
    url: str | None = None
    model: Registered
    reused: bool
    tables_version: int | None = None

    @property
    def place(self) -> str:
        """Where readers find it."""
        return self.url or str(self.path)


def export_champion(context: Context, champion: Registered | None = None) -> Exported:
    """Pull the champion from the registry and write its factors and everybody's recommendations.

    Raises:
        NothingToWorkFrom: the data set has no champion.
        SourceUnavailable: its files are not available, or not what was registered; or the database for the tables
            can't be had, and shows what it did before.
    """
    model = champion or context.registry.require_champion()
    exported = context.observer.step("write", lambda: _write(context, model))
    exported = publish_latest(context, exported)
    to = context.config.export
    if to.to is not None:
        url = to.to
        version = context.observer.step("load", lambda: write_tables(exported.path, url, model.dataset, to.n_versions))
        exported = exported.model_copy(update={"tables_version": version})
    context.observer.step("publish", lambda: _publish(context, exported))
    if not exported.reused:
        context.observer.announce(
            "export.published", model.dataset, version=model.version, path=exported.place, model_uri=model.uri
        )
    logger.info("export: %s (%s)", exported.place, "reused" if exported.reused else "made")
    return exported


def prepare_export(context: Context, version: Registered) -> Exported:
    """Write a version's export, unless there is a whole one, whatever settings that was made by.

    Raises:
        SourceUnavailable: its files are not available, or not what was registered.
    """
    folder = _folder(context, version)
    return Exported(path=folder, model=version, reused=True) if is_whole(folder) else _write(context, version)


def publish_latest(context: Context, exported: Exported) -> Exported:
    """Point `latest` to the champion's export: of several at once the last one sees the last champion.

    `exported` is made already; where somebody promotes another version meanwhile, it is not pointed to.

    Returns:
        The same export, with its place in the object store if it went to one.

    Raises:
        SourceUnavailable: the object store does not answer or refuses; `latest` is what it was.
    """
    with locked(exported.path.parent / "latest"):
        champion = context.registry.require_champion()
        is_champion = champion.version == exported.model.version
        latest = exported if is_champion else prepare_export(context, champion)
        shelf = context.settings.exports_url
        if shelf is not None:
            url = publish_export(latest.path, f"{shelf}/{latest.model.dataset}")
            latest = latest.model_copy(update={"url": url})
        point_latest(latest.path)
    return latest if is_champion else exported


def _folder(context: Context, version: Registered) -> Path:
    return context.settings.exports / version.dataset / str(version.version)


def _write(context: Context, champion: Registered) -> Exported:
    """Write the champion's files."""
    target = _folder(context, champion)
    bundle = context.registry.pull(champion)
    head = {
        "dataset": champion.dataset,
        "model_uri": champion.uri,
        "model_version": champion.version,
        "run_id": champion.run_id,
        "data_fingerprint": champion.data,
        "recipes": {str(objective): recipe.model_dump() for objective, recipe in champion.recipes.items()},
        "metrics": champion.metrics,
    }
    contender = _contender(context, champion)
    machines = _machines(context)
    written = export_model(bundle, target, head, context.config.export, context.config.lists, contender, machines)
    return Exported(path=target, model=champion, reused=not written)


def _machines(context: Context) -> Machines | None:
    """The cluster's, if they are to make the lists."""
    config = context.config
    address, wait_s = config.cluster.address, config.cluster.wait
    if config.export.engine != "cluster" or address is None:
        return None

    def run(work: str, parts: list[dict[str, Any]]) -> None:
        with context.observer.on_cluster(address, work, parts, wait_s) as wait:
            wait()

    return Machines(context.store.home, run)


def _contender(context: Context, champion: Registered) -> Contender | None:
    """The version that the lists are interleaved with, if that is asked for and there is another one."""
    asked = context.config.export.interleave
    if asked is None:
        return None
    role = asked.partition(",")[2]
    other = context.registry.under(role)
    if other is None or other.version == champion.version:
        logger.info("export: there is no %s, so that lists are the champion's alone", role)
        return None
    return Contender(role, other.version, context.registry.pull(other))


def _publish(context: Context, exported: Exported) -> None:
    """Show what lies where."""
    files = "\n".join(
        f"| {path.name} | {path.stat().st_size:,} |" for path in sorted(exported.path.iterdir()) if path.is_file()
    )
    text = f"`{exported.place}`, made from `{exported.model.uri}`\n\n| file | bytes |\n|---|---|\n{files}\n"
    context.observer.show_text(f"export-{exported.model.dataset}", text)
