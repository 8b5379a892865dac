"""Replay: the chain as of each of past nights, in a store of its own, and what each night's champion then did."""

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from mfcore.config import DatasetConfig, PipelineConfig, ReportConfig
from mfcore.data.ids import find_codes
from mfcore.data.ratings import Ratings, titles_of
from mfcore.data.snapshot import Snapshot
from mfcore.data.times import UNKNOWN
from mfcore.errors import DataInvalid, UsageError, first_line
from mfcore.metrics.objective import Objective
from mfcore.metrics.ranking import RelevantItems, rank_metrics
from mfcore.metrics.rating import rmse
from mfcore.models.lists import top_n
from mfcore.models.model import Model
from mfcore.settings import Settings, sqlite_uri
from mfcore.stages.context import Context
from mfcore.stages.pipeline import run_pipeline
from mfcore.storage.artifacts import fingerprint
from mfcore.storage.files import locked, write_file
from mfcore.storage.kinds import Kind
from mfcore.tracking.registry import Registry
from mfcore.tracking.replayed import log_replay

__all__ = ["Replay", "ReplayedNight", "replay"]

logger = logging.getLogger("mfcore.stages")

_FILE = "nights.json"


class ReplayedNight(BaseModel):
    """A night as it would have been.

    Attributes:
        at: when it began; it knew the ratings before that.
        n_known: how many those are.
        version: of the champion after it, in the replay's own registry; None while there is none.
        heads: objective → promoted, tie, kept or most popular, as the gate decided.
        refused: why the night ended without a result, if it did; the champion is that of the night before.
        n_after: ratings of the time until the next night, which nobody knew.
        rmse: of the champion on those; None where there are none.
        ndcg: NDCG of its lists for users who went on to like something, who were known; None where there is nobody.
        churn: share of a list that was not in the user's list of the night before, over users known in both.
    """

    at: datetime
    n_known: int
    version: int | None = None
    heads: dict[Objective, str] = {}
    refused: str | None = None
    n_after: int = 0
    rmse: float | None = None
    ndcg: float | None = None
    churn: float | None = None

    @property
    def row(self) -> dict[str, object]:
        """A row of a table."""
        told = self.model_dump(exclude={"at", "heads", "refused"})
        heads = {str(objective): self.refused or self.heads.get(objective) for objective in Objective}
        return {"night": f"{self.at:%Y-%m-%d}", **heads, **told}


class Replay(BaseModel):
    """What a replay ends with: its nights, and where its store, table and figure lie."""

    dataset: str
    nights: list[ReplayedNight]
    path: Path
    tracking_uri: str


def replay(context: Context, first: datetime, last: datetime, every: timedelta) -> Replay:
    """Run the chain as of each night from `first` to `last`, and measure its champion on the days after.

    A night knows the ratings before it and no others: their split, tuning, gate and registration
    are those of any night, in a home, a registry and a folder of exports of the replay's own. Its champion is
    then asked for the ratings, and the lists, of the time until the next night. What was replayed
    is kept: a longer replay, or one that was killed, goes on from there.

    Args:
        context: the data set and the settings of each night.
        first: the first night; without a zone, UTC.
        last: no night is later.
        every: from one night to the next.

    Raises:
        UsageError: the ratings have no times, or no night has any before it.
        MfcoreError: a night fails otherwise than by data that are refused.
    """
    source = context.input(None, Kind.RATINGS)
    snapshot = Snapshot.load(source.path)
    ratings = snapshot.ratings
    if ratings.times is None:
        raise UsageError("a replay needs to know when each rating was given, and these ratings have no times.")
    if every <= timedelta(0) or last < first:
        raise UsageError("a replay goes from a night to the same or a later one, in steps of a day or more.")
    times = np.where(ratings.times == UNKNOWN, np.iinfo(np.int64).max, ratings.times)
    key = fingerprint("replay", source.fingerprint, context.config.model_dump(mode="json"), first, every)
    place = context.store.home / "replays" / f"{source.dataset}-{key}"
    place.mkdir(parents=True, exist_ok=True)
    with locked(place / "replay"), context.store.in_use():  # nobody prunes it meanwhile
        done = _done(place)
        settings = _settings(place)
        for at, until in _nights(first, last, every):
            if done and at <= done[-1].at:
                continue
            known = np.flatnonzero(times < at.timestamp())
            after = ratings.take(np.flatnonzero((times >= at.timestamp()) & (times < until.timestamp())))
            if not len(known):
                raise UsageError(f"no rating is from before {at:%Y-%m-%d}: begin the replay later.")
            night = Context(_as_of(snapshot, known, source.dataset, context.config, place), settings=settings)
            done.append(_measured(_run(night, at, len(known), done), night, after, done))
            write_file(place / _FILE, json.dumps([night.model_dump(mode="json") for night in done], indent=1) + "\n")
            logger.info("replay: %s", done[-1].row)
    nights = [night for night in done if first <= night.at <= last]
    log_replay(settings, source.dataset, pd.DataFrame([night.row for night in nights]), place)
    return Replay(dataset=source.dataset, nights=nights, path=place, tracking_uri=settings.tracking_uri)


def _done(place: Path) -> list[ReplayedNight]:
    """The nights that were replayed before; where none is known, nothing is left that a night could learn from."""
    if (place / _FILE).is_file():
        return [
            ReplayedNight.model_validate(night) for night in json.loads((place / _FILE).read_text(encoding="utf-8"))
        ]
    for name in ("home", "mlruns", "exports"):
        shutil.rmtree(place / name, ignore_errors=True)
    return []


def _settings(place: Path) -> Settings:
    mlruns = place / "mlruns"
    return Settings(place / "home", sqlite_uri(mlruns / "mlflow.db"), mlruns, place / "exports")


def _nights(first: datetime, last: datetime, every: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Each night, and the one after it."""
    at = first
    while at <= last:
        yield at, at + every
        at += every


def _as_of(
    snapshot: Snapshot,
    known: NDArray[np.int64],
    name: str,
    config: PipelineConfig,
    place: Path,
) -> PipelineConfig:
    """Write what was known to a file of ratings, and return the configuration that reads it."""
    ratings = snapshot.ratings
    titles = titles_of(ratings.item_ids, snapshot.items)
    frame = ratings.take(known).to_frame().assign(title=titles[ratings.items[known]])
    file = place / f"{name}.parquet"
    frame.to_parquet(file, index=False)
    scale = ratings.scale
    dataset = DatasetConfig(name=str(file), scale_min=scale.minimum, scale_max=scale.maximum, scale_step=scale.step)
    return config.model_copy(update={"dataset": dataset, "report": ReportConfig(enabled=False)})


def _run(context: Context, at: datetime, n_known: int, before: list[ReplayedNight]) -> ReplayedNight:
    """One night of the chain."""
    try:
        result = run_pipeline(context)
    except DataInvalid as error:
        version = before[-1].version if before else None
        return ReplayedNight(at=at, n_known=n_known, version=version, refused=f"refused: {first_line(error)}")
    heads = {objective: head.status for objective, head in result.heads.items()}
    return ReplayedNight(at=at, n_known=n_known, version=result.version, heads=heads)


def _measured(night: ReplayedNight, context: Context, after: Ratings, before: list[ReplayedNight]) -> ReplayedNight:
    """The night with what its champion did until the next one."""
    if night.version is None:
        return night
    k = context.config.evaluation.ks[0]
    model = _pulled(context.registry, night.version)
    lists, _ = top_n(model.lists, np.arange(len(model.user_ids), dtype=np.int32), k, model.rated)
    churn = None
    if before and before[-1].version is not None:
        churn = _churn(model, lists, _pulled(context.registry, before[-1].version), k)
    figures = {"n_after": len(after), "churn": churn}
    if len(after):
        predicted = model.predict(after.user_ids[after.users], after.item_ids[after.items])
        figures["rmse"] = rmse(predicted, after.values)
        figures["ndcg"] = _ndcg(model, lists, after, k, context.config.evaluation.relevant_from)
    return night.model_copy(update=figures)


def _pulled(registry: Registry, version: int) -> Model:
    return registry.pull(registry.version(version))


def _ndcg(
    model: Model,
    lists: NDArray[np.int32],
    after: Ratings,
    k: int,
    relevant_from: float | None,
) -> float | None:
    """NDCG@k of the lists, for known users who went on to like an item that was known."""
    users = find_codes(model.user_ids, after.user_ids)[after.users]
    items = find_codes(model.item_ids, after.item_ids)[after.items]
    both = (users >= 0) & (items >= 0)
    relevant = RelevantItems.of(
        replace(
            after,
            users=users[both],
            items=items[both],
            values=after.values[both],
            times=None,
            user_ids=model.user_ids,
            item_ids=model.item_ids,
            titles=None,
        ),
        relevant_from,
    )
    everybody = np.arange(len(model.user_ids), dtype=np.int32)
    counts = relevant.counts(everybody)
    if not counts.any():
        return None
    ndcg = rank_metrics(relevant.hits(everybody, lists), counts, k)["ndcg"]
    return float(ndcg[counts > 0].mean())


def _churn(model: Model, lists: NDArray[np.int32], before: Model, k: int) -> float | None:
    """Share of a list that is new, the mean over users of both models."""
    codes = find_codes(before.user_ids, model.user_ids)
    shared = codes >= 0
    if not shared.any():
        return None
    then, _ = top_n(before.lists, codes[shared], k, before.rated)
    # Items of the night before by tonight's codes; −2 where they are not known any more, as an empty place is −1.
    renamed = np.append(np.where((code_now := find_codes(model.item_ids, before.item_ids)) < 0, -2, code_now), -2)
    now, then = lists[shared], renamed[then]
    new = (now >= 0) & ~(now[:, :, None] == then[:, None, :]).any(axis=2)
    sizes = (now >= 0).sum(axis=1)
    return float((new.sum(axis=1)[sizes > 0] / sizes[sizes > 0]).mean())
