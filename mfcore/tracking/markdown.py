"""Tables, numbers and names of metrics as Markdown that MLflow's and Prefect's pages show well."""

import math
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["number", "table", "title_of", "with_interval"]

_CAPITALS = re.compile(r"\b(rmse|mae|ndcg|map|mrr)\b")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells end in a space that MLflow's pages, which set columns close together, don't drop."""
    body = [f"| {'&emsp; | '.join(line)}&emsp; |" for line in (head, *rows)]
    return "\n".join([body[0], "|---" * len(head) + "|", *body[1:]])


def title_of(name: str) -> str:
    """A metric's name as people write it.

    >>> title_of("test_ndcg_at_10"), title_of("rmse, limit bias"), title_of("role")
    ('test NDCG@10', 'RMSE, limit bias', 'role')
    """
    return _CAPITALS.sub(lambda word: word[0].upper(), name.replace("_at_", "@").replace("_", " "))


def number(value: Any) -> str:
    """Four decimals; nothing where there is no value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) >= 0.01 else f"{value:.3g}"


def with_interval(value: Any, low: Any, high: Any) -> str:
    """A value and its 95 % interval, where there is one.

    >>> with_interval(0.9, 0.8, 1.0), with_interval(0.9, None, None), with_interval(None, None, None)
    ('0.9000 (0.8000 to 1.0000)', '0.9000', '')
    """
    return f"{number(value)} ({number(low)} to {number(high)})" if number(value) and number(low) else number(value)
