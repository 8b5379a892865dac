"""What the documents say that code knows better: `make documents` writes it anew.

Each such part of a document lies between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from mfcore.config import PipelineConfig
from mfcore.stages.table import STAGES
from tests.unit.data.cases import CASES, ROWS

ROOT = Path(__file__).parents[1]


def settings() -> str:
    """Every key of `PipelineConfig` with its default and its description, a table per section."""
    parts = []
    for section, field in PipelineConfig.model_fields.items():
        kind = field.annotation
        assert isinstance(kind, type)
        rows = [f"### `[{section}]`", "", "| key | default | what |", "|---|---|---|"]
        for key, one in kind.model_fields.items():
            what = (one.description or "").replace("|", "\\|")
            rows.append(f"| `{key}` | {_shown(one.default)} | {what} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def stages() -> str:
    """The stages in their order, a row each."""
    rows = [f"| `{one.name}` | {one.takes or '–'} | {one.makes or '–'} | {one.description} |" for one in STAGES]
    return "\n".join(["| stage | takes | makes | what it does |", "|---|---|---|---|", *rows])


def accepted() -> str:
    """What files of ratings become, case by case as they are tested, a table per kind."""
    parts = []
    for kind in dict.fromkeys(case.kind for case in CASES):
        rows = [f"### {kind}", "", "| what comes | it is | and told |", "|---|---|---|"]
        rows += [f"| {_cell(case.what)} | {case.outcome} | {_cell(case.says)} |" for case in CASES if case.kind == kind]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def quarantined() -> str:
    """What becomes of single rows."""
    rows = [f"| {_cell(one.what)} | {_cell(one.reason) or '– (it stays)'} |" for one in ROWS]
    return "\n".join(["| row | reason |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _shown(value: Any) -> str:
    """A default in TOML's notation; nothing where there is none."""
    if value is None or value is PydanticUndefined:
        return ""
    return f"`{json.dumps(value)}`"


PARTS = {
    "flows/README.md": {"stages": stages, "settings": settings},
    "mfcore/data/README.md": {"accepted": accepted, "quarantined": quarantined},
}


def written(text: str, name: str, content: str) -> str:
    """The document `text` with `content` as its part `name`."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the document has no part between {start} and {end}")
    return f"{before}{start}\n\n{content}\n\n{end}{after}"


def renewed(document: str) -> str:
    """What the document would be if it were made now."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for name, make in PARTS[document].items():
        text = written(text, name, make())
    return text


if __name__ == "__main__":
    for document in PARTS:
        (ROOT / document).write_text(renewed(document), encoding="utf-8")
