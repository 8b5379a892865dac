"""Promote and roll back by hand: the champion moves, and its export with it."""

from mfcore.stages.context import Context
from mfcore.stages.export import Exported, prepare_export, publish_latest
from mfcore.tracking.registry import Registered

__all__ = ["promote_version", "roll_back"]


def promote_version(context: Context, version: int) -> Registered:
    """Make a version the champion, and `latest` among the exports point to its own.

    What it takes to export the version is done first: if that fails, the champion stays.

    Raises:
        UsageError: there is no such version.
        SourceUnavailable: its files are not available, or not what was registered.
    """
    registry = context.registry
    exported = _prepare(context, registry.version(version))
    champion = registry.promote(version, "promoted by hand")
    publish_latest(context, exported)
    return champion


def roll_back(context: Context) -> Registered:
    """Make the champion before this one the champion again, and `latest` point to its export.

    Raises:
        NothingToWorkFrom: there was none before.
        SourceUnavailable: its files are not available, or not what was registered.
    """
    registry = context.registry
    exported = _prepare(context, registry.require_previous())
    champion = registry.rollback()
    publish_latest(context, exported)
    return champion


def _prepare(context: Context, version: Registered) -> Exported:
    exported = prepare_export(context, version)
    if exported.reused:  # others pull the version itself
        context.registry.pull(version)
    return exported
