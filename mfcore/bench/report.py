"""What a benchmark found, as JSON and as a table."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mfcore.storage.files import write_file

__all__ = ["save", "table"]


def table(result: Mapping[str, Any]) -> str:
    """A Markdown table of what `speed`, `busy`, `accuracy` or `lists` returned."""
    if "rmse" in result:
        return _table("model | RMSE", (f"{name} | {value:.4f}" for name, value in result["rmse"].items()))
    if "lists" in result:
        return _table(
            "data | lists by | NDCG@10 | recall@10 | coverage@10",
            (
                f"{one['data']} | {one['entrant']} | {one['ndcg_at_10']:.3f} | {one['recall_at_10']:.3f} "
                f"| {one['coverage_at_10']:.0%}"
                for one in result["lists"]
            ),
        )
    if "busy" in result:
        return _table(
            "data | algorithm | k | spinning | s a sweep | s with one thread | ratio",
            (
                f"{one['shape']} | {one['algorithm']} | {one['n_factors']} | {one['spinning']} | {one['seconds']:.4f} "
                f"| {one['seconds_one_thread']:.4f} | {one['ratio']:.2f}"
                for one in result["busy"]
            ),
        )
    return _table(
        "data | contest | k | library | s a sweep | × first | million ratings/s | useful GFLOP/s | bytes per rating",
        (
            f"{one['shape']} | {one['contest']} | {one['n_factors']} | {one['library']} | {one['seconds']:.4f} "
            f"| {one['ratio']:.1f} | {one['updates_a_second'] / 1e6:.1f} | {one['useful_gflops']:.0f} "
            f"| {one['peak_bytes_a_rating']:.0f}"
            for one in result["results"]
        ),
    )


def _table(head: str, rows: Iterable[str]) -> str:
    rule = "|---" * len(head.split("|")) + "|"
    return "\n".join([f"| {head} |", rule, *(f"| {row} |" for row in rows)]) + "\n"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a result as JSON, and its table beside it as Markdown."""
    write_file(path, json.dumps(result, indent=2) + "\n")
    write_file(path.with_suffix(".md"), table(result))
