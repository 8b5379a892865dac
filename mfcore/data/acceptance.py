"""What has to be true of ratings before they are worked with: checks, drift, and the merge into earlier ones."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mfcore.config import PipelineConfig
from mfcore.data.drift import Drift, compare
from mfcore.data.merging import Merged, merge_items
from mfcore.data.page import data_page
from mfcore.data.ratings import Ratings
from mfcore.data.readers import Tables
from mfcore.data.snapshot import ITEMS, Snapshot

if TYPE_CHECKING:
    from mfcore.data.checks import CheckResult

__all__ = ["CHECKS", "PAGE", "QUARANTINE", "Acceptance", "accept"]

CHECKS, PAGE, QUARANTINE = "checks.json", "data.html", "quarantine.csv"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Acceptance:
    """What was found of new ratings.

    Attributes:
        snapshot: what passed, merged into the earlier ratings if they were to be appended.
        checked: what the checks found.
        drift: how far it is from the last accepted ratings, where there are any.
        merged: what the new ratings brought, if they were appended.
    """

    snapshot: Snapshot
    checked: "CheckResult"
    drift: Drift | None
    merged: Merged | None

    @property
    def problems(self) -> list[str]:
        """What stops the run, a sentence each; none if the ratings are accepted."""
        return [*self.checked.problems, *(self.drift.problems if self.drift else ())]

    @property
    def results(self) -> list[dict[str, Any]]:
        """Each check and each measure of drift, with what was found."""
        return [*self.checked.results, *(self.drift.results if self.drift else ())]

    @property
    def warnings(self) -> list[str]:
        """What looks wrong and stops nothing, a sentence each."""
        return [*self.checked.warnings, *(self.drift.warnings if self.drift else ())]

    def page(self, title: str) -> str:
        """The same for people, as one HTML document."""
        drift: Sequence[dict[str, Any]] = self.drift.results if self.drift else ()
        return data_page(
            title,
            self.snapshot.ratings,
            self.checked.results,
            self.checked.quarantine,
            drift,
            self.problems,
            [*self.warnings, *self.checked.notes],
        )

    def save(self, folder: Path, title: str) -> dict[str, Any]:
        """Write everything into `folder`; returns the counts."""
        ratings, items = self.snapshot.ratings, self.snapshot.items
        ratings.save(folder)
        if items is not None:
            items.to_parquet(folder / ITEMS, index=False)
        self.checked.quarantine.to_csv(folder / QUARANTINE, index=False)
        (folder / CHECKS).write_text(json.dumps(self.results, indent=1), encoding="utf-8")
        (folder / PAGE).write_text(self.page(title), encoding="utf-8")
        return {
            "ratings": len(ratings),
            "users": ratings.n_users,
            "items": ratings.n_items,
            "mean": float(ratings.values.mean(dtype=np.float64)),
            "quarantined": len(self.checked.quarantine),
            "warnings": self.warnings,
            "notes": list(self.checked.notes),
        }


def accept(tables: Tables, config: PipelineConfig, previous: Snapshot | None, docs: Path | None = None) -> Acceptance:
    """Check what was read, compare it with the `previous` ratings, and merge it into them in append mode.

    Args:
        tables: from `mfcore.data.readers.read`.
        config: what is asked of the data.
        previous: what was accepted last, if anything was.
        docs: an empty folder for Great Expectations' Data Docs; None: none are written.
    """
    # Great Expectations takes two seconds to import, and who only reads what was accepted does without.
    from mfcore.data.checks import check

    appends = previous is not None and config.dataset.mode == "append"
    base = previous.ratings if previous is not None and appends else None
    checked = check(tables, config.validation, docs, base)
    for note in checked.notes:
        logger.info("%s", note)
    for warning in checked.warnings:
        logger.warning("%s", warning)
    if checked.merged is not None and previous is not None:
        items = merge_items(previous.items, tables.items)
        snapshot = Snapshot(checked.merged.ratings, items)
    else:
        snapshot = Snapshot(Ratings.from_frame(checked.ratings, checked.scale), tables.items)
    if checked.problems or previous is None:
        return Acceptance(snapshot, checked, drift=None, merged=checked.merged)
    return Acceptance(snapshot, checked, compare(previous.ratings, snapshot.ratings, config.drift), checked.merged)
