"""Rows that are taken out of the ratings: why, which of repeated ones stay, and how they are shown."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from mfcore.errors import counted

__all__ = ["PAIR", "Reason", "quarantined", "refused", "repeated", "resolved", "too_many", "why_refused"]

PAIR = ["user_id", "item_id"]
Reason = Callable[[Any], str]
"""From a row, as a named tuple, to why it is refused."""

_SUPERSEDED = "superseded"
_UNREAD = {
    "row": "the fields of the row don't add up",
    "rating": "rating is not a number",
    "timestamp": "timestamp is no time",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How text begins that a spreadsheet would compute."""
_MAX_TEXT = 80
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


def why_refused(
    frame: pd.DataFrame, failures: Iterable[tuple[list[int], Reason]], unread: pd.DataFrame
) -> "pd.Series[str]":
    """Row → why it is refused; what could not be read comes before what it was then missing.

    Args:
        frame: the canonical frame, indexed by row.
        failures: the rows that failed an expectation, and the reason; the first one counts.
        unread: row, column and text of what could not be read.
    """
    reasons: dict[Any, str] = {}
    for row, column, text in unread.itertuples(index=False):
        what = _UNREAD[column]
        reasons.setdefault(row, f"{what}: {text[:_MAX_TEXT]!r}")
    for rows, reason in failures:
        for row in frame.loc[[row for row in rows if row not in reasons]].itertuples():
            reasons[row.Index] = reason(row)
    return pd.Series(reasons, dtype=object).sort_index()


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frame` whose (user, item) occurs more than once.

    Sorting the pairs takes half the time of hashing them, which tells at 25M rows.
    """
    users, items = (pd.factorize(frame[name])[0].astype(np.int64) for name in PAIR)
    pairs = users * (items.max(initial=0) + 1) + items
    del users, items
    ordered = np.sort(pairs)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return frame[pd.Index(pairs).isin(twice)] if len(twice) else frame.iloc[:0]


def resolved(
    frame: pd.DataFrame, again: pd.DataFrame, policy: Literal["last", "mean", "error"]
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Leave one rating, or with the policy "error" none, of each (user, item) that is rated more than once.

    Args:
        frame: all rows.
        again: those that are `repeated`.
        policy: the rating that is left: the last by time, the mean, or none.

    Returns:
        The frame, and row → reason of the rows that are gone.
    """
    if policy == "error":
        reason = "rated twice: this user has rated this item more than once"
        return frame.drop(index=again.index), pd.Series(reason, again.index, dtype=object)
    order = again.sort_values("timestamp", kind="stable") if "timestamp" in again else again
    last = order.drop_duplicates(PAIR, keep="last")
    gone = again.index.difference(last.index)
    by_pair = pd.Series(last.index, index=pd.MultiIndex.from_frame(last[PAIR]))
    stays = by_pair.loc[pd.MultiIndex.from_frame(again.loc[gone, PAIR])].to_numpy()
    reasons = pd.Series([f"{_SUPERSEDED} by row {row}" for row in stays], index=gone, dtype=object)
    if policy == "mean":
        frame = frame.copy()
        means = again.groupby(PAIR, sort=False)["rating"].mean()
        frame.loc[last.index, "rating"] = means.loc[pd.MultiIndex.from_frame(last[PAIR])].to_numpy()
    return frame.drop(index=gone), reasons


def refused(reasons: "pd.Series[str]") -> "pd.Series[str]":
    """The rows with something wrong about them, and not merely with a later one of the same pair."""
    return reasons[~reasons.str.startswith(_SUPERSEDED)]


def too_many(n_rows: int, n_unlisted: int, wrong: "pd.Series[str]", limit: float) -> str:
    """What to say when more rows are refused than the `limit`, a share, allows.

    Args:
        n_rows: rows in all.
        n_unlisted: rows that failed one expectation, where they are too many to be listed.
        wrong: the rows that are listed, with their reasons.
        limit: the configured share.
    """
    n_refused = max(n_unlisted, len(wrong))
    # One kind is what is left of the reasons without the value that each is about.
    kinds = wrong.str.split(":", n=1).str[0].str.replace(r"^(rating|timestamp) -?[\d.e+]+ ", r"\1 ", regex=True)
    shares = kinds.value_counts().head(3)
    counts = "; ".join(f"{count:,} × {kind}" for kind, count in shares.items())
    is_about_times = len(shares) > 0 and str(shares.index[0]).startswith("timestamp")
    return (
        f"{n_refused:,} of {counted(n_rows, 'row')} ({n_refused / n_rows:.1%}) are refused, more than the "
        f"{limit:.1%} of validation.max_quarantined. "
        + ("" if n_unlisted else f"{counts}. ")
        + f"First: row {wrong.index[0]:,}, {wrong.iloc[0]}"
        + ('. To do without times, set dataset.timestamp_column = ""' if is_about_times else "")
    )


def quarantined(frame: pd.DataFrame, reasons: "pd.Series[str]", unread: pd.DataFrame) -> pd.DataFrame:
    """The refused rows with their reasons, each value as the text that was found.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    reasons = reasons.sort_index()
    rows = frame.reindex(columns=["user_id", "item_id", "rating", "timestamp"]).loc[reasons.index]
    table = rows.astype(object).where(rows.notna(), "").map(_as_text)
    for column, texts in unread.groupby("column"):
        if column in table:
            table.loc[texts["row"], str(column)] = texts["text"].to_numpy()
    table.insert(0, "row", reasons.index)
    for name in table.columns.drop("row"):
        table[name] = table[name].map(_inert)
    return table.assign(reason=reasons).reset_index(drop=True)


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _as_text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
