"""A page about checked ratings: their spread, the long tail, the checks, drift and quarantine."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mfcore.data.drift import histogram
from mfcore.data.ratings import Ratings
from mfcore.data.times import UNKNOWN

__all__ = ["charts", "data_page"]

_MAX_ROWS = 100
"""Quarantined rows shown; the file holds all of them."""
_WIDTH, _HEIGHT = 560, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 34
_STYLE = """
:root { --ink: #1c2430; --soft: #5d6b7e; --line: #d9dfe7; --paper: #fff; --tint: #f5f7fa; --bar: #2f6db5;
  --good: #1a7f4b; --bad: #b3261e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b8; --line: #364253; --paper: #12171f;
  --tint: #1a212c; --bar: #6ba6e8; --good: #5cc48d; --bad: #f08a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1180px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
.facts div { background: var(--tint); border-radius: 8px; padding: .6rem 1rem; }
.facts b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { margin-bottom: .25rem; } svg { width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; } .axis { stroke: var(--line); } .bar { fill: var(--bar); }
.curve { fill: none; stroke: var(--bar); stroke-width: 2; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92em; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
"""


def data_page(
    title: str,
    ratings: Ratings,
    results: Sequence[Mapping[str, Any]],
    quarantine: pd.DataFrame,
    drift: Sequence[Mapping[str, Any]] = (),
    problems: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> str:
    """One HTML document, without scripts, that needs nothing from the network.

    Args:
        title: what the data set is called.
        ratings: the rows that passed.
        results: of `mfcore.data.checks.check`.
        quarantine: of the same.
        drift: results of `mfcore.data.drift.compare`, if there was something to compare with.
        problems: what stopped the run, if anything did.
        notes: warnings, and how the data were understood.
    """
    n_failed = sum(not result["success"] for result in results)
    verdict = f"Accepted, {n_failed} checks with findings" if n_failed else "All checks passed"
    verdict = "Refused" if problems else verdict
    sections = [
        f"<h1>{escape(title)}</h1><p class='{'bad' if problems else 'good'}'>{verdict}</p>",
        "".join(f"<p class='bad'>{escape(problem)}</p>" for problem in problems),
        _facts(ratings, len(quarantine)),
        f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else "",
    ]
    if len(ratings):
        sections.append(f"<div class='charts'>{''.join(charts(ratings))}</div>")
    columns = ["table", "expectation", "column", "bounds", "success", "observed", "unexpected"]
    sections.append("<h2>Checks</h2>" + _table(results, columns))
    if drift:
        sections.append(
            "<h2>Against the last accepted ratings</h2>"
            + _table(drift, ["measure", "observed", "limit", "success", "action"])
        )
    if len(quarantine):
        shown = quarantine.head(_MAX_ROWS)
        count = f"{len(quarantine):,} rows" + (f", the first {_MAX_ROWS}" if len(quarantine) > _MAX_ROWS else "")
        rows = shown.to_dict("records")
        sections.append(f"<h2>Quarantine</h2><p class='soft'>{count}</p>" + _table(rows, list(shown.columns)))
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}: ratings</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(sections)}</body></html>\n"
    )


def charts(ratings: Ratings) -> list[str]:
    """Figures of at least one rating, in HTML: the spread, months where times are known, and both long tails.

    They are drawn in the classes `axis`, `bar` and `curve`, which the page around them has styles for.
    """
    times = _known_times(ratings)
    months = [_months(times)] if len(times) else []
    tails = [_tail(ratings.items, ratings.n_items, "item"), _tail(ratings.users, ratings.n_users, "user")]
    return [_spread(ratings), *months, *tails]


def _known_times(ratings: Ratings) -> NDArray[np.int64]:
    return np.empty(0, np.int64) if ratings.times is None else ratings.times[ratings.times != UNKNOWN]


def _facts(ratings: Ratings, n_quarantined: int) -> str:
    facts = {"ratings": f"{len(ratings):,}", "users": f"{ratings.n_users:,}", "items": f"{ratings.n_items:,}"}
    if len(ratings):
        scale = ratings.scale
        step = f", step {scale.step:g}" if scale.step else ", real-valued"
        facts["of all pairs rated"] = f"{len(ratings) / (ratings.n_users * ratings.n_items):.2%}"
        facts["mean rating"] = f"{ratings.values.mean(dtype=np.float64):.3f}"
        facts["scale"] = f"{scale.minimum:g} to {scale.maximum:g}{step}"
        times = _known_times(ratings)
        if len(times):
            facts["from, to"] = f"{_day(int(times.min()))}, {_day(int(times.max()))}"
    facts["in quarantine"] = f"{n_quarantined:,}"
    cells = "".join(f"<div><b>{value}</b><span class='soft'>{name}</span></div>" for name, value in facts.items())
    return f"<div class='facts'>{cells}</div>"


def _spread(ratings: Ratings) -> str:
    names, shares = histogram(ratings, ratings.scale)
    labels = [f"{share:.1%}" for share in shares]
    return _bars("How ratings spread over the scale", names, shares, labels, ("rating", "share of ratings"))


def _months(times: NDArray[np.int64]) -> str:
    months = times.astype("datetime64[s]").astype("datetime64[M]")
    first = months.min()
    counts = np.bincount((months - first).astype(np.int64))
    # At most as many bars as can be told apart.
    width = -(-len(counts) // 60)
    sums = np.add.reduceat(counts, np.arange(0, len(counts), width))
    names = [str(first + number * width) for number in range(len(sums))]
    unit = "month" if width == 1 else f"{width} months"
    labels = [f"{count:,}" for count in sums]
    return _bars(f"Ratings per {unit}", names, sums / sums.max(), labels, ("month", "ratings"))


def _bars(
    caption: str, names: Sequence[str], heights: NDArray[np.float64], labels: Sequence[str], axes: tuple[str, str]
) -> str:
    """Bars of the given heights, the highest of which fills the chart; the labels are their tooltips."""
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    slot = inner_width / len(names)
    every = -(-len(names) // 10)
    parts = []
    for number, (name, height, label) in enumerate(zip(names, heights / heights.max(), labels, strict=True)):
        left, tall = _LEFT + number * slot, height * inner_height
        parts.append(
            f"<rect class='bar' x='{left + slot * 0.08:.1f}' y='{_TOP + inner_height - tall:.1f}' "
            f"width='{slot * 0.84:.1f}' height='{tall:.1f}'><title>{escape(name)}: {label}</title></rect>"
        )
        if number % every == 0:
            middle = left + slot / 2
            parts.append(f"<text x='{middle:.1f}' y='{_HEIGHT - 16}' text-anchor='middle'>{escape(name)}</text>")
    highest = labels[int(np.argmax(heights))]
    parts.append(f"<text x='{_LEFT - 6}' y='{_TOP + 10}' text-anchor='end'>{highest}</text>")
    return _figure(caption, "".join(parts), axes)


def _tail(codes: NDArray[np.int32], n: int, kind: str) -> str:
    """Ratings of each user or item, from the most to the fewest, both axes logarithmic."""
    counts = np.sort(np.bincount(codes, minlength=n))[::-1]
    counts = counts[counts > 0]
    tenth = max(1, len(counts) // 10)
    share = counts[:tenth].sum() / counts.sum()
    # Evenly spaced in the logarithm, so that a few hundred points draw any length.
    ranks = np.unique(np.round(np.geomspace(1, len(counts), min(len(counts), 240))).astype(np.int64))
    x = np.log(ranks) / max(np.log(len(counts)), 1e-9)
    y = np.log(counts[ranks - 1]) / max(np.log(counts[0]), 1e-9)
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    across, down = _LEFT + x * inner_width, _TOP + (1 - y) * inner_height
    points = " ".join(f"{left:.1f},{top:.1f}" for left, top in zip(across, down, strict=True))
    body = (
        f"<polyline class='curve' points='{points}'/>"
        f"<text x='{_LEFT - 6}' y='{_TOP + 10}' text-anchor='end'>{counts[0]:,}</text>"
        f"<text x='{_LEFT - 6}' y='{_TOP + inner_height}' text-anchor='end'>1</text>"
        f"<text x='{_LEFT}' y='{_HEIGHT - 16}'>1st {kind}</text>"
        f"<text x='{_WIDTH - _RIGHT}' y='{_HEIGHT - 16}' text-anchor='end'>{len(counts):,}th</text>"
    )
    return _figure(
        f"Ratings per {kind}, from most to fewest: the first tenth of {kind}s holds {share:.0%}; "
        f"the median {kind} has {int(np.median(counts)):,}",
        body,
        (f"{kind}s, by their number of ratings (logarithmic)", "ratings (logarithmic)"),
    )


def _figure(caption: str, body: str, names: tuple[str, str]) -> str:
    """A chart with its two axes and their names."""
    bottom = _HEIGHT - _BOTTOM
    middle = (_TOP + bottom) / 2
    axes = (
        f"<text x='{(_LEFT + _WIDTH - _RIGHT) / 2}' y='{_HEIGHT - 3}' text-anchor='middle'>{escape(names[0])}</text>"
        f"<text x='11' y='{middle}' text-anchor='middle' transform='rotate(-90 11 {middle})'>{escape(names[1])}</text>"
        f"<line class='axis' x1='{_LEFT}' y1='{bottom}' x2='{_WIDTH - _RIGHT}' y2='{bottom}'/>"
        f"<line class='axis' x1='{_LEFT}' y1='{_TOP}' x2='{_LEFT}' y2='{bottom}'/>"
    )
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' "
        f"aria-label='{escape(caption, quote=True)}'>{axes}{body}</svg></figure>"
    )


def _table(rows: Sequence[Mapping[Any, Any]], columns: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in columns)}</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "<td class='good'>passed</td>" if value else "<td class='bad'>failed</td>"
    if isinstance(value, int | float):
        return f"<td class='number'>{format(value, ',' if isinstance(value, int) else '.4g')}</td>"
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return f"<td>{escape('' if value is None else str(value))}</td>"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
