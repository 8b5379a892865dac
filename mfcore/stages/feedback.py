"""Feedback: what people did with what each version showed them, joined and logged."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from mfcore.data.times import UNKNOWN, as_seconds
from mfcore.errors import DataInvalid, NothingToWorkFrom, SourceUnavailable, first_line, listed
from mfcore.evaluation.feedback import EVENTS, VersionFeedback, figures_of
from mfcore.serving.export import load_export
from mfcore.serving.published import fetch_version
from mfcore.serving.tables import read_table
from mfcore.stages.context import Context
from mfcore.tracking.registry import CHAMPION, Registry

__all__ = ["collect_feedback"]

logger = logging.getLogger("mfcore.stages")

_COLUMNS = ("user_id", "item_id", "event", "time")
_OF_LISTS = ("user_id", "item_id", "team", "team_version")
"""Columns of exported lists, the last two of interleaved ones."""


def collect_feedback(context: Context, file: Path) -> list[VersionFeedback]:
    """Read what people did, and say of each version how its lists and predictions fared.

    An event belongs to the version that its `model_version` names, as exported rows have it, or else to
    the one that was champion at its time. The figures are a run `feedback` in MLflow: a table, and a
    metric each over the versions.

    Args:
        context: the data set.
        file: CSV or Parquet: user_id, item_id, event (shown, clicked or rated) and time (ISO 8601, or seconds since
            1970); and, where there are any, rating and model_version.

    Raises:
        SourceUnavailable: the file, or an export, can't be read.
        DataInvalid: a column is missing, or holds what it should not.
        NothingToWorkFrom: no event belongs to a version whose export is there.
    """
    events = _read(file)
    version = events["model_version"].fillna(_champion_at(context.registry, events["time"]))
    n_strays = int(version.isna().sum())
    if n_strays:
        logger.warning("%d events are from before there was a champion: left out", n_strays)
    delivered = []
    for number in sorted({int(value) for value in version.dropna()}):
        folder = context.settings.exports / context.dataset_name / str(number)
        if not folder.is_dir() and not _fetched(context, number, folder):
            logger.warning("version %d: no export at %s, so nobody knows what it showed; left out", number, folder)
            continue
        factors = load_export(folder)
        columns = read_table(folder, "recommendations")
        lists = pd.DataFrame({name: columns[name] for name in _OF_LISTS if name in columns})
        delivered.append(figures_of(number, lists, factors, events[version == number]))
    if not delivered:
        raise NothingToWorkFrom(
            f"no event of {file} belongs to a version that was exported to {context.settings.exports}."
        )
    with context.experiment.run("feedback", tags={"stage": "feedback"}) as run_id:
        context.experiment.log_table(
            run_id, pd.DataFrame([figures.model_dump() for figures in delivered]), "feedback.json"
        )
        context.experiment.log_by_version(run_id, {figures.version: figures.metrics for figures in delivered})
    return delivered


def _fetched(context: Context, version: int, folder: Path) -> bool:
    """Whether an object store has the export of a version, which is copied here then."""
    shelf = context.settings.exports_url
    return shelf is not None and fetch_version(version, f"{shelf}/{context.dataset_name}", folder)


def _champion_at(registry: Registry, times: "pd.Series[int]") -> "pd.Series[float]":
    """The version that was champion at each time; NaN before the first."""
    reigns = [reign for reign in registry.history() if reign.role == CHAMPION]
    since = np.array([reign.since for reign in reigns], np.float64) / 1000
    versions = np.array([np.nan, *(reign.version for reign in reigns)])
    return pd.Series(versions[np.searchsorted(since, times.to_numpy(), side="right")], index=times.index)


def _read(file: Path) -> pd.DataFrame:
    """The events, with times in seconds, a rating and a version where one is known."""
    try:
        if file.suffix in (".parquet", ".pq"):
            frame = pd.read_parquet(file)
        else:
            frame = pd.read_csv(file, dtype={"user_id": str, "item_id": str})
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"{file} can't be read: {first_line(error)}.") from error
    missing = [name for name in _COLUMNS if name not in frame]
    if missing:
        raise DataInvalid(f"{file} lacks {listed(missing, 'and')}: it needs {listed(_COLUMNS, 'and')}.")
    strange = frame.loc[~frame["event"].isin(EVENTS), "event"]
    if len(strange):
        raise DataInvalid(
            f"{file}, row {strange.index[0]} counted from 0: event is {strange.iloc[0]!r}, not {listed(EVENTS, 'or')}."
        )
    times = frame["time"]
    if not pd.api.types.is_numeric_dtype(times):
        times = pd.to_datetime(times, utc=True, format="ISO8601", errors="coerce")
    seconds = as_seconds(times)
    unknown = np.ones(len(frame), np.bool_) if seconds is None else seconds == UNKNOWN
    if seconds is None or unknown.any():
        raise DataInvalid(f"{file}, row {int(np.argmax(unknown))} counted from 0: its time can't be read.")
    return pd.DataFrame(
        {
            "user_id": frame["user_id"],
            "item_id": frame["item_id"],
            "event": frame["event"],
            "time": seconds,
            "rating": pd.to_numeric(frame["rating"], errors="coerce") if "rating" in frame else np.nan,
            "model_version": pd.to_numeric(frame["model_version"], errors="coerce")
            if "model_version" in frame
            else np.nan,
        }
    )
