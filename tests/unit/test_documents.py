"""Documents say what the code says."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mfcore.config import ExportConfig, PipelineConfig
from mfcore.models import PMF
from mfcore.models.model import Model
from mfcore.serving.export import export_model, point_latest
from tests.contract.synthetic import synthetic_ratings
from tests.documents import PARTS, ROOT, renewed, settings, written


@pytest.mark.parametrize("document", PARTS)
def test_a_document_is_up_to_date(document: str) -> None:
    stands = (ROOT / document).read_text(encoding="utf-8")
    assert stands == renewed(document), f"{document} is out of date: make documents"


def test_every_setting_is_there_and_described() -> None:
    table = settings()
    for section, field in PipelineConfig.model_fields.items():
        assert f"`[{section}]`" in table
        assert isinstance(field.annotation, type)
        for key, one in field.annotation.model_fields.items():
            assert one.description, f"{section}.{key} has no description"
            assert f"| `{key}` |" in table


def test_a_part_that_is_missing_is_refused() -> None:
    assert written("a <!-- x --> old <!-- /x --> b", "x", "new") == "a <!-- x -->\n\nnew\n\n<!-- /x --> b"
    with pytest.raises(ValueError, match="no part"):
        written("a <!-- x --> old", "x", "new")


@pytest.mark.parametrize("link", ["identity", "logistic"])
def test_the_readme_turns_exported_factors_into_ratings(
    link: Literal["identity", "logistic"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratings, _ = synthetic_ratings()
    factors = PMF(link=link, n_epochs=3, n_factors=4, seed=1).train(ratings)
    target = tmp_path / "exports" / "ml-100k" / "1"
    target.parent.mkdir(parents=True)
    export_model(Model.of(factors, ratings, None), target, {}, ExportConfig())
    point_latest(target)
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("### From factors to ratings")[2]
    code = re.search(r"```python\n(.*?)```", section, re.S)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code[1], names)
    items = np.arange(ratings.n_items, dtype=np.int32)
    expected = factors.predict(np.full_like(items, 196), items)
    np.testing.assert_allclose(names["ratings"].to_numpy(), expected, rtol=1e-4)
    assert names["ratings"].index.tolist() == factors.item_ids.tolist()


def test_the_examples_of_the_library_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "mfcore" / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.S)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["again"].predict(1, [2, 3]).tolist() == names["model"].predict(1, [2, 3]).tolist()
    assert len(names["model"].recommend(1, k=5)) == 5


def test_the_plan_of_the_house_names_every_floor() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = {room.strip("() ") for floor in contracts[0]["layers"] for room in floor.split("|")}
    plan = (ROOT / "mfcore" / "README.md").read_text(encoding="utf-8").partition("## The plan of the house")[2]
    drawn = re.search(r"```\n(.*?)```", plan, re.S)
    assert drawn is not None
    assert floors <= set(re.findall(r"[a-z_]+", drawn[1]))
