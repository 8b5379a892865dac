"""Each tutorial runs, is short, and prints what it promises."""

from pathlib import Path

import pytest

import mfcore.tutorials
from mfcore.tutorials import toy

FILES = sorted(Path(mfcore.tutorials.__path__[0]).glob("[!_]*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_at_most_60_lines_of_code(file: Path) -> None:

    blank = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert 0 < len(blank) <= 60


def test_the_5_by_4_matrix_is_learned_in_20_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    errors = toy.main()
    assert list(errors) == list(range(1, 21))
    assert errors[20] < 0.15 < errors[1]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("epoch  10: RMSE") and printed[1] == f"epoch  20: RMSE {errors[20]:.3f}"
    assert len(printed) == 2 + 1 + 5
