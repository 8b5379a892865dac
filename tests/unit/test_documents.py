"""Documents say what the code says."""

import pytest

from mfcore.config import PipelineConfig
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
