"""The plan of the house, held true: its floors by the import contracts, and tests that lie where their module does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACROSS = {
    "data/test_fuzz.py",
    "data/test_stored.py",
    "metrics/test_size.py",
    "data/test_size.py",
    "models/test_missing.py",
    "models/kernels/test_kernels.py",
    "tuning/test_objectives.py",
    "evaluation/test_promotions.py",
    "tracking/test_elsewhere.py",
    "tutorials/test_tutorials.py",
    "bench/test_bench.py",
    "test_documents.py",
    "test_rooms.py",
}
"""Tests of a whole folder, which mirror it and none of its modules."""


def test_unit_tests_mirror_the_modules() -> None:
    unit = ROOT / "tests" / "unit"
    strays = []
    for test in unit.rglob("test_*.py"):
        place = test.relative_to(unit)
        module = ROOT / "mfcore" / place.parent / place.name.removeprefix("test_")
        if not (module.is_file() or module.with_suffix("").is_dir() or place.as_posix() in ACROSS):
            strays.append(place.as_posix())
    assert not strays, f"these mirror no module of mfcore: {strays}"
    assert not [name for name in ACROSS if not (unit / name).is_file()], "ACROSS names tests that are gone"


def contracts(folder: Path) -> tuple[int, str]:
    """Exit code and report of the import contracts over the packages in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages and their contracts, to be changed at will."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("mfcore", "flows"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_contracts_are_kept_as_it_stands(copy: Path) -> None:
    code, report = contracts(copy)
    assert code == 0, report


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("mfcore/models/lists.py", "import mfcore.tracking.runs", "Each floor knows only the floors below it"),
        ("mfcore/metrics/ranking.py", "import mfcore.evaluation.gate", "Each floor knows only the floors below it"),
        ("mfcore/storage/files.py", "import mfcore.config", "Each floor knows only the floors below it"),
        ("mfcore/serving/export.py", "import mlflow", "MLflow only in mfcore.tracking"),
    ],
)
def test_an_upward_import_breaks_a_contract(copy: Path, module: str, line: str, contract: str) -> None:
    changed = copy / module
    before = changed.read_text()
    changed.write_text(f"{before}\n{line}\n")
    try:
        code, report = contracts(copy)
    finally:
        changed.write_text(before)
    assert code != 0
    assert f"{contract} BROKEN" in report
