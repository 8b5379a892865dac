"""What `mfcore` and its rooms offer by name."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

FACES = ("mfcore", *(f"mfcore.{room}" for room in ("data", "evaluation", "metrics", "serving", "tracking", "tuning")))
"""Packages whose names load their module when first used."""


def tree_of(package: str) -> ast.Module:
    return ast.parse(Path(str(import_module(package).__file__)).read_text(encoding="utf-8"))


def seen_by_type_checkers(package: str) -> dict[str, str]:
    """Name → module, as imported under TYPE_CHECKING."""
    (block,) = [node for node in tree_of(package).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def seen_by_programs(package: str) -> dict[str, str]:
    """Name → module, as given to `face`."""
    calls = [node for node in ast.walk(tree_of(package)) if isinstance(node, ast.Call)]
    (call,) = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "face"]
    return {n: f"{package}.{module}" for module, names in ast.literal_eval(call.args[1]).items() for n in names}


@pytest.mark.parametrize("package", [*FACES, "mfcore.models"])
def test_every_name_is_there(package: str) -> None:
    module = import_module(package)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


@pytest.mark.parametrize("package", FACES)
def test_type_checkers_and_programs_see_the_same_names(package: str) -> None:
    module, homes = import_module(package), seen_by_programs(package)
    assert homes == seen_by_type_checkers(package)
    defined = {node.name for node in tree_of(package).body if isinstance(node, ast.FunctionDef)}
    assert set(module.__all__) - {"__version__"} == {*homes, *defined}
    for name, home in homes.items():
        assert name in import_module(home).__all__
        assert getattr(module, name) is getattr(import_module(home), name)


def test_all_of_models_is_imported_by_name() -> None:
    imports = [node for node in tree_of("mfcore.models").body if isinstance(node, ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == set(import_module("mfcore.models").__all__)


def test_a_face_loads_nothing_but_itself() -> None:
    code = f"import sys, {', '.join(FACES)}; print([name for name in sys.modules if name.startswith('mfcore.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) == {*FACES, "mfcore.faces"} - {"mfcore"}
