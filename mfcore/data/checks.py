"""What ratings must be like to go on: Great Expectations suites over the canonical frame, and its quarantine.

A row that fails goes to the quarantine with the reason. Too many of them, or a failure of
the table as a whole, are problems that should stop the run.
"""

import gc
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
from great_expectations.data_context.data_context.context_factory import project_manager
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import Expectation

from mfcore.config import ValidationConfig
from mfcore.data.merging import Merged, merge
from mfcore.data.quarantine import PAIR, Reason, quarantined, refused, repeated, resolved, too_many, why_refused
from mfcore.data.ratings import Ratings, Scale
from mfcore.data.readers import Tables
from mfcore.data.scales import observe
from mfcore.data.times import EARLIEST
from mfcore.errors import counted

__all__ = ["CheckResult", "check"]

_MAX_STEPS = 1000
_MAX_LISTED = 1_000_000
"""Failing rows listed for one expectation; more than these stop the run, whatever share they are."""
_MANY = 1_000_000
"""Rows that are given back at once, which takes half a second, and not when Python comes to it."""
_CLOCK_SKEW_S = 24 * 3600
_REMOTE = re.compile(
    r"<script\b[^>]*\bsrc\s*=\s*[\"']?(?:https?:)?//[^>]*>\s*</script>|<(?:link|img)\b[^>]*[\"'](?:https?:)?//[^>]*>",
    re.I,
)
"""Elements of a page that are fetched from other hosts."""


@dataclass(frozen=True, eq=False)
class CheckResult:
    """What the checks found.

    Attributes:
        ratings: the rows that passed, in the canonical frame; the index is the row in the source.
        scale: the rating scale, given or read off the ratings.
        quarantine: row, user_id, item_id, rating, timestamp (all as text) and reason of each row
            that was taken out.
        problems: what should stop the run, a sentence each; empty if the data are accepted.
        results: what each expectation found: table (ratings, users, items, or repeated: the rows
            whose pair occurs more than once), expectation, column, bounds, success, observed, unexpected.
        notes: how the data were understood, a sentence each.
        warnings: what looks wrong about them and stops nothing.
        merged: what the rows that passed brought to the earlier ratings, if there were any.
    """

    ratings: pd.DataFrame
    scale: Scale
    quarantine: pd.DataFrame
    problems: list[str]
    results: list[dict[str, Any]]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    merged: Merged | None = None


@dataclass(frozen=True)
class _Rule:
    """An expectation and what to say where it fails: of each row (`reason`), or of the table (`problem`)."""

    expectation: Expectation
    reason: Reason | None = None
    problem: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class _Failure:
    """A rule that failed, the rows that did (the first, where they are too many), and what was observed."""

    rule: _Rule
    rows: list[int]
    observed: Any


def check(
    tables: Tables, config: ValidationConfig, docs: Path | None = None, previous: Ratings | None = None
) -> CheckResult:
    """Check what was read, take out the rows that fail, and resolve duplicates by policy.

    Args:
        tables: from `mfcore.data.readers.read`.
        config: what is asked of the data.
        docs: an empty folder for Great Expectations' Data Docs, which begin at index.html.
        previous: ratings that were accepted before, which the rows that pass are merged into. What is
            asked of a table is then asked of the whole, and the scale is the previous one if none is given.
    """
    with closing(_Suite()) as suite:
        result = _check(tables, config, suite, previous)
        if docs is not None:
            suite.write_docs(docs)
    return result


def _check(tables: Tables, config: ValidationConfig, suite: "_Suite", previous: Ratings | None) -> CheckResult:
    frame = tables.ratings
    known = tables.scale or (previous.scale if previous is not None else None)
    observed = observe(frame["rating"].to_numpy(), known, tables.given)
    scale = observed.scale
    failures = suite.run("ratings", frame, [*_row_rules(frame, scale), *_type_rules(frame)])
    listed = [(failure.rows, failure.rule.reason) for failure in failures if failure.rule.reason is not None]
    reasons = why_refused(frame, listed, tables.unread)
    kept = _plain(frame[~frame.index.isin(reasons.index)]) if len(reasons) else frame
    again = repeated(kept)
    if suite.run("repeated", again, [_unique_pairs()]):
        kept, superseded = resolved(kept, again, config.duplicates)
        reasons = pd.concat([reasons, superseded])
    merged = None
    whole = kept
    if previous is not None:
        merged = merge(previous, Ratings.from_frame(kept, scale))
        whole = merged.ratings.to_frame()
    problems = []
    wrong = refused(reasons)
    n_judged = len(frame) + (len(previous) if previous is not None else 0)
    is_hopeless = len(frame) > 0 and len(wrong) == len(frame) and config.max_quarantined < 1
    if suite.n_unlisted or len(wrong) > config.max_quarantined * n_judged or is_hopeless:
        problems = [too_many(len(frame), suite.n_unlisted, wrong, config.max_quarantined)]
    elif previous is not None and scale != previous.scale:
        problems = _outside(previous, scale)
    if not problems:
        problems = _problems_of(whole, config, suite)
    return CheckResult(
        ratings=kept,
        scale=scale,
        quarantine=quarantined(frame, reasons, tables.unread),
        problems=[f"{tables.origin}: {problem}" for problem in problems],
        results=list(suite.results.values()),
        notes=(*tables.notes, *observed.notes),
        warnings=observed.warnings,
        merged=merged,
    )


def _problems_of(whole: pd.DataFrame, config: ValidationConfig, suite: "_Suite") -> list[str]:
    """What is wrong with the table of ratings; where something is, what follows from it is not said as well."""
    failures = suite.run("ratings", whole, _table_rules(whole, config))
    for name in ("user", "item") if not failures else ():
        counts = whole[f"{name}_id"].value_counts(sort=False)
        profile = pd.DataFrame({"n_ratings": counts, "share": counts / len(whole)}).reset_index(drop=True)
        rules = _profile_rules(name, config)
        are_enough = len(profile) >= getattr(config, f"min_{name}s")
        failures += suite.run(f"{name}s", profile, rules if are_enough else rules[:1])
    problems = [failure.rule.problem(failure.observed) for failure in failures if failure.rule.problem is not None]
    return problems[:1] if len(whole) == 0 else problems


def _outside(previous: Ratings, scale: Scale) -> list[str]:
    """Why the ratings accepted before can't be on another scale."""
    values = previous.values.astype(np.float64)
    steps = _steps(scale)
    off = (values < scale.minimum) | (values > scale.maximum)
    if steps:
        off |= ~np.isclose(values[:, None], np.array(steps)[None, :], atol=1e-6).any(axis=1)
    if not off.any():
        return []
    return [
        f"{int(off.sum()):,} of the {counted(len(previous), 'rating')} accepted before, such as {values[off][0]:g}, "
        f"are not on the scale from {scale.minimum:g} to {scale.maximum:g} that is given now: begin anew with "
        'dataset.mode = "replace", or give another scale'
    ]


class _Suite:
    """Runs expectations over tables and keeps what each found last."""

    def __init__(self) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        (site,) = (self._context.variables.data_docs_sites or {}).values()
        self._scratch = site["store_backend"]["base_directory"]
        self._source = self._context.data_sources.add_pandas("ratings")
        self._n_runs = self._n_rows = 0
        self.results: dict[str, dict[str, Any]] = {}
        self.n_unlisted = 0

    def run(self, table: str, frame: pd.DataFrame, rules: Sequence[_Rule]) -> list[_Failure]:
        """Validate `frame` and say which rules failed, with the rows of those that look at rows."""
        self._n_runs += 1
        self._n_rows += len(frame)
        name = f"{table} {self._n_runs}"
        expectations = [copy(rule.expectation) for rule in rules]
        for number, expectation in enumerate(expectations):
            expectation.meta = {"rule": number}
        suite = self._context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
        definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        definition = self._context.validation_definitions.add(definition)
        failures = []
        for outcome in definition.run(batch_parameters={"dataframe": frame}, result_format="SUMMARY").results:
            assert outcome.expectation_config is not None
            rule = rules[outcome.expectation_config.meta["rule"]]
            self.results[f"{table} {rule.expectation!r}"] = _result(table, outcome)
            if outcome.success:
                continue
            rows: list[int] = []
            n_unexpected = outcome.result.get("unexpected_count", 0)
            if rule.reason is not None and n_unexpected <= _MAX_LISTED:
                whole = batch.get_batch({"dataframe": frame}).validate(rule.expectation, result_format="COMPLETE")
                rows = [int(row) for row in whole.result["unexpected_index_list"]]
            elif rule.reason is not None:
                self.n_unlisted = max(self.n_unlisted, n_unexpected)
                rows = [int(row) for row in outcome.result["partial_unexpected_index_list"]]
            failures.append(_Failure(rule, rows, outcome.result.get("observed_value", n_unexpected)))
        return failures

    def write_docs(self, folder: Path) -> None:
        """Write the Data Docs of all runs, without the scripts and styles they would fetch from the network."""
        self._context.build_data_docs()
        shutil.copytree(self._scratch, folder, dirs_exist_ok=True)
        for page in folder.rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            page.write_text(_REMOTE.sub("", text), encoding="utf-8")

    def close(self) -> None:
        """Give up the frames, which the context of the process would hold on to, and its folder for Data Docs."""
        project_manager.set_project(None)
        del self._context, self._source
        if self._n_rows > _MANY:
            gc.collect()  # contexts are full of cycles
        shutil.rmtree(self._scratch, ignore_errors=True)


def _result(table: str, outcome: Any) -> dict[str, Any]:
    """One expectation's outcome as plain values."""
    config, result = outcome.expectation_config, outcome.result
    error = outcome.exception_info.get("exception_message") if outcome.exception_info else None
    observed = error or result.get("observed_value", result.get("element_count"))
    return {
        "table": table,
        "expectation": config.type,
        "column": config.kwargs.get("column") or ", ".join(config.kwargs.get("column_list", [])) or None,
        "bounds": _bounds(config.kwargs),
        "success": bool(outcome.success),
        "observed": observed.item() if isinstance(observed, np.generic) else observed,
        "unexpected": int(result.get("unexpected_count", 0)),
    }


def _bounds(asked: Mapping[str, Any]) -> str:
    """What an expectation asks for, in a few words."""
    words = []
    if asked.get("min_value") is not None:
        words.append(f"at least {asked['min_value']:g}")
    if asked.get("max_value") is not None:
        words.append(f"at most {asked['max_value']:g}")
    if asked.get("value_set"):
        values = [f"{value:g}" for value in asked["value_set"]]
        words.append(", ".join(values if len(values) <= 11 else [*values[:5], "…", values[-1]]))
    if asked.get("type_"):
        words.append(str(asked["type_"]))
    if asked.get("column_set"):
        words.append(", ".join(map(str, asked["column_set"])))
    if asked.get("mostly") not in (None, 1):
        words.append(f"for {asked['mostly']:.0%} of them")
    return " and ".join(words[:2]) + (f" {words[2]}" if len(words) > 2 else "")


def _row_rules(frame: pd.DataFrame, scale: Scale) -> list[_Rule]:
    """What is asked of each row; where several fail, the first gives the reason."""
    low, high = f"{scale.minimum:g}", f"{scale.maximum:g}"
    rules = [
        _Rule(gxe.ExpectColumnValuesToNotBeNull(column="user_id"), lambda _: "user_id is missing"),
        _Rule(gxe.ExpectColumnValuesToNotBeNull(column="item_id"), lambda _: "item_id is missing"),
        _Rule(gxe.ExpectColumnValuesToNotBeNull(column="rating"), lambda _: "rating is missing"),
        _Rule(
            gxe.ExpectColumnValuesToBeBetween(column="rating", min_value=scale.minimum, max_value=scale.maximum),
            lambda row: f"rating {row.rating:g} is outside the scale from {low} to {high}",
        ),
    ]
    steps = _steps(scale)
    if steps:
        rules.append(
            _Rule(
                gxe.ExpectColumnValuesToBeInSet(column="rating", value_set=steps),
                lambda row: f"rating {row.rating:g} is not on the scale from {low} in steps of {scale.step:g}",
            )
        )
    if "timestamp" in frame:
        now = int(time.time())
        rules += [
            _Rule(
                gxe.ExpectColumnValuesToBeBetween(column="timestamp", min_value=0),
                lambda row: f"timestamp {row.timestamp} lies before 1970",
            ),
            _Rule(
                gxe.ExpectColumnValuesToBeBetween(column="timestamp", min_value=EARLIEST),
                lambda row: f"timestamp {row.timestamp} lies before March 1973, and is no time in seconds",
            ),
            _Rule(
                gxe.ExpectColumnValuesToBeBetween(column="timestamp", max_value=now + _CLOCK_SKEW_S),
                lambda row: f"timestamp {row.timestamp} lies in the future{_finer_than_seconds(row.timestamp, now)}",
            ),
        ]
    return rules


def _unique_pairs() -> _Rule:
    """What is asked of the rows whose (user, item) may occur more than once."""
    return _Rule(gxe.ExpectCompoundColumnsToBeUnique(column_list=PAIR))


def _type_rules(frame: pd.DataFrame) -> list[_Rule]:
    """What is asked of the columns."""
    rules = [
        _Rule(
            gxe.ExpectTableColumnsToMatchSet(column_set=["user_id", "item_id", "rating"], exact_match=False),
            problem=lambda columns: f"user_id, item_id and rating are needed; found {columns}",
        ),
        _Rule(
            gxe.ExpectColumnValuesToBeOfType(column="rating", type_="float64"),
            problem=lambda kind: f"ratings are {kind}, not numbers",
        ),
    ]
    for name in ("user_id", "item_id", "timestamp"):
        if name in frame:
            expected = {"object": "str", "Int64": "Int64"}.get(str(frame[name].dtype), "int64")
            is_of_type = gxe.ExpectColumnValuesToBeOfType(column=name, type_=expected)
            rules.append(_Rule(is_of_type, problem=partial("{0} is of type {2}, not {1}".format, name, expected)))
    return rules


def _table_rules(frame: pd.DataFrame, config: ValidationConfig) -> list[_Rule]:
    """What is asked of the table of rows that passed, with those of before."""
    rules = [
        _Rule(
            gxe.ExpectTableRowCountToBeBetween(min_value=config.min_ratings),
            problem=_too_few("rating", config.min_ratings),
        ),
        _Rule(
            gxe.ExpectColumnUniqueValueCountToBeBetween(column="rating", min_value=2),
            problem=lambda _: "all ratings are alike, so there is nothing to learn from them",
        ),
    ]
    return rules[:1] if len(frame) < config.min_ratings else rules


def _too_few(noun: str, least: int) -> Callable[[int], str]:
    """What to say of a number that is less than the least."""
    return lambda n: f"{counted(n, noun)} {'is' if n == 1 else 'are'} fewer than validation.min_{noun}s, {least:,}"


def _profile_rules(name: str, config: ValidationConfig) -> list[_Rule]:
    """What is asked of the users, or items: their number, how many are cold, and how much the largest holds."""
    at_least: int = getattr(config, f"min_{name}s")
    max_cold: float = getattr(config, f"max_cold_{name}s")
    max_share: float = getattr(config, f"max_{name}_share")
    return [
        _Rule(
            gxe.ExpectTableRowCountToBeBetween(min_value=at_least),
            problem=_too_few(name, at_least),
        ),
        _Rule(
            gxe.ExpectColumnValuesToBeBetween(column="n_ratings", min_value=config.cold_below, mostly=1 - max_cold),
            problem=lambda n: (
                f"{n:,} {name}s have fewer than {config.cold_below:,} ratings (validation.cold_below), "
                f"more than the {max_cold:.0%} of validation.max_cold_{name}s"
            ),
        ),
        _Rule(
            gxe.ExpectColumnMaxToBeBetween(column="share", max_value=max_share),
            problem=lambda share: (
                f"one {name} holds {share:.1%} of all ratings, more than the {max_share:.0%} of "
                f"validation.max_{name}_share"
            ),
        ),
    ]


def _steps(scale: Scale) -> list[float]:
    """The values of a stepped scale, rounded so that they equal what is read from text."""
    if scale.step is None or scale.width / scale.step > _MAX_STEPS:
        return []
    n_steps = int(scale.width / scale.step + 1e-9)
    return [round(scale.minimum + scale.step * number, 10) for number in range(n_steps + 1)]


def _finer_than_seconds(timestamp: int, now: int) -> str:
    for unit, factor in (("milliseconds", 1_000), ("microseconds", 1_000_000), ("nanoseconds", 1_000_000_000)):
        if now // 30 < timestamp // factor <= now:
            return f"; it looks like {unit}, and seconds are expected"
    return ""


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Integers that may be missing as plain ones, where none is now."""
    masked = [name for name in frame if isinstance(frame[name].dtype, pd.Int64Dtype) and not frame[name].hasnans]
    return frame.astype(dict.fromkeys(masked, np.int64)) if masked else frame
