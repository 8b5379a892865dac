"""Report: static pages about the last night, in a folder beside the data set's exports."""

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from mfcore.errors import UsageError
from mfcore.report.contents import Report
from mfcore.report.pages import INDEX, write_pages
from mfcore.stages.context import Context
from mfcore.stages.gathering import exported_at, gather
from mfcore.storage.artifacts import code_of, fingerprint, is_whole, read_manifest, write_manifest
from mfcore.storage.files import locked, new_folder
from mfcore.storage.kinds import Kind
from mfcore.tracking.registry import Registered

__all__ = ["Reported", "make_report", "report_night"]

_KIND = "report"
_CODE = code_of("mfcore.models", "mfcore.metrics", "mfcore.evaluation", "mfcore.report", "mfcore.stages")


class Reported(BaseModel):
    """Where a report lies, who has a page, what it takes, and whether it was there before."""

    path: Path
    index: Path
    users: list[str]
    n_bytes: int
    reused: bool = False


def report_night(context: Context, champion: Registered | None = None) -> Reported:
    """Write the pages that a night ends with, unless they are there and would show the same champion and figures.

    Raises:
        NothingToWorkFrom: there is no champion, or no evaluation any more.
        UsageError: where the pages belong is something else.
        SourceUnavailable: the champion's files are not available.
    """
    registered = champion or context.registry.require_champion()
    asked, folder = _asked(context, registered), _folder(context, registered)
    if is_whole(folder) and read_manifest(folder).get("asked") == asked:
        return _reported(folder, reused=True)
    return _make(context, registered, (), folder, asked)


def make_report(context: Context, user_ids: Sequence[str] = (), output: Path | None = None) -> Reported:
    """Write pages about a data set's champion and newest evaluation into one folder, whole or not at all.

    Args:
        context: of the data set.
        user_ids: who gets a page; by default six users, of short and long histories, who liked a test item.
        output: the folder; by default `report` beside the data set's exports. A report that is there is replaced.

    Raises:
        NothingToWorkFrom: there is no champion, or no evaluation any more.
        UsageError: a user nobody knows, or a folder that holds something else.
        SourceUnavailable: the champion's files are not available.
    """
    registered = context.registry.require_champion()
    return _make(context, registered, user_ids, (output or _folder(context, registered)).absolute())


def _make(
    context: Context, champion: Registered, user_ids: Sequence[str], folder: Path, asked: str | None = None
) -> Reported:
    _refuse_others(folder)
    report = context.observer.step("gather", lambda: gather(context, champion, user_ids))
    context.observer.step("write", lambda: _write(report, folder, asked))
    made = _reported(folder)
    context.experiment.tag(champion.run_id, {"report": str(made.index)})
    context.observer.show_text(f"report-{champion.dataset}", f"Pages about the last night: `{made.index}`")
    return made


def _folder(context: Context, champion: Registered) -> Path:
    return context.settings.exports / champion.dataset / "report"


def _asked(context: Context, champion: Registered) -> str:
    """What tells one night's pages from another's; the time of day does not."""
    evaluation = context.store.newest(Kind.EVALUATIONS, champion.dataset)
    settings = [context.config.lists.model_dump(mode="json"), context.config.evaluation.model_dump(mode="json")]
    has_posters = bool(os.environ.get("TMDB_API_KEY"))
    exported = exported_at(context, champion.dataset)
    return fingerprint(_CODE, champion.uri, evaluation.fingerprint, exported, settings, has_posters)


def _reported(folder: Path, *, reused: bool = False) -> Reported:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    users = read_manifest(folder)["users"]
    return Reported(path=folder, index=folder / INDEX, users=users, n_bytes=size, reused=reused)


def _write(report: Report, target: Path, asked: str | None = None) -> None:
    """Write the pages where those of an earlier report may be; who comes at the same time waits."""
    with locked(target), new_folder(target, replace=True) as folder:
        write_pages(report, folder)
        version, users = report.champion.version, [person.user_id for person in report.people]
        write_manifest(folder, kind=_KIND, dataset=report.dataset, model_version=version, users=users, asked=asked)


def _refuse_others(target: Path) -> None:
    """See to it that nothing but a report is replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        is_report = read_manifest(target).get("kind") == _KIND
    except (OSError, ValueError, AttributeError):
        is_report = False
    if not is_report:
        raise UsageError(f"{target} holds something else than a report: name a folder that is new or empty.")
