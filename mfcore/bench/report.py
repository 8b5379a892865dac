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
                f"{row['data']} | {row['entrant']} | {row['ndcg_at_10']:.3f} | {row['recall_at_10']:.3f} "
                f"| {row['coverage_at_10']:.0%}"
                for row in result["lists"]
            ),
        )
    if "busy" in result:
        return _table(
            "data | algorithm | k | spinning | s a sweep | s with one thread | ratio",
            (
                f"{row['shape']} | {row['algorithm']} | {row['n_factors']} | {row['spinning']} | {row['seconds']:.4f} "
                f"| {row['seconds_one_thread']:.4f} | {row['ratio']:.2f}"
                for row in result["busy"]
            ),
        )
    return _table(
        "data | contest | k | library | s a sweep | × first | million ratings/s | useful GFLOP/s | bytes per rating",
        (
            f"{row['shape']} | {row['contest']} | {row['n_factors']} | {row['library']} | {row['seconds']:.4f} "
            f"| {row['ratio']:.1f} | {row['updates_a_second'] / 1e6:.1f} | {row['useful_gflops']:.0f} "
            f"| {row['peak_bytes_a_rating']:.0f}"
            for row in result["results"]
        ),
    )


def _table(head: str, rows: Iterable[str]) -> str:
    rule = "|---" * len(head.split("|")) + "|"
    return "\n".join([f"| {head} |", rule, *(f"| {row} |" for row in rows)]) + "\n"


def save(result: Mapping[str, Any], path: Path) -> None:
    """Write a result as JSON, and its table beside it as Markdown."""
    write_file(path, json.dumps(result, indent=2) + "\n")
    write_file(path.with_suffix(".md"), table(result))
