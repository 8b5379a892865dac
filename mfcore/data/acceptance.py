"""What has to be true of ratings before they are worked with: checks, drift, and the merge into earlier ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mfcore.config import PipelineConfig
from mfcore.data.checks import CheckResult, check
from mfcore.data.drift import Drift, compare
from mfcore.data.merging import Merged, merge, merge_items
from mfcore.data.page import data_page
from mfcore.data.ratings import Ratings
from mfcore.data.readers import Tables
from mfcore.data.snapshot import ITEMS, Snapshot

__all__ = ["CHECKS", "PAGE", "QUARANTINE", "Acceptance", "accept"]

CHECKS, PAGE, QUARANTINE = "checks.json", "data.html", "quarantine.csv"

_OF_THE_WHOLE = {
    **dict.fromkeys(("min_ratings", "min_users", "min_items"), 1),
    **dict.fromkeys(("max_cold_users", "max_cold_items", "max_user_share", "max_item_share"), 1.0),
}
"""Limits that the ratings as a whole have met already and that a night's few new ones need not meet."""


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
    checked: CheckResult
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

    def page(self, title: str) -> str:
        """The same for people, as one HTML document."""
        drift: Sequence[dict[str, Any]] = self.drift.results if self.drift else ()
        return data_page(
            title, self.snapshot.ratings, self.checked.results, self.checked.quarantine, drift, self.problems
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
            "warnings": self.drift.warnings if self.drift else [],
        }


def accept(tables: Tables, config: PipelineConfig, previous: Snapshot | None, docs: Path) -> Acceptance:
    """Check what was read, compare it with the `previous` ratings, and merge it into them in append mode.

    Args:
        tables: from `mfcore.data.readers.read`.
        config: what is asked of the data.
        previous: what was accepted last, if anything was.
        docs: an empty folder for Great Expectations' Data Docs.
    """
    appends = previous is not None and config.dataset.mode == "append"
    asked = config.validation.model_copy(update=_OF_THE_WHOLE) if appends else config.validation
    checked = check(tables, asked, docs)
    snapshot = Snapshot(Ratings.from_frame(checked.ratings, checked.scale), tables.items)
    if checked.problems or previous is None:
        return Acceptance(snapshot, checked, drift=None, merged=None)
    merged = None
    if appends:
        merged = merge(previous.ratings, snapshot.ratings)
        snapshot = Snapshot(merged.ratings, merge_items(previous.items, snapshot.items))
    return Acceptance(snapshot, checked, compare(previous.ratings, snapshot.ratings, config.drift), merged)
