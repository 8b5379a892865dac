"""`face`: how a package offers names of its modules without importing them."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from sys import modules
from typing import Any

__all__ = ["face"]


def face(package: str, names_of: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562): a name loads the module it comes from when first used.

    Type checkers read neither, so that the package imports the same names under `TYPE_CHECKING` as well.

    Args:
        package: its name.
        names_of: module, as seen from the package → names that it defines.
    """
    homes = {name: f"{package}.{module}" for module, names in names_of.items() for name in names}
    namespace = vars(modules[package])

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        namespace[name] = value = getattr(import_module(homes[name]), name)
        return value

    return load, lambda: sorted({*namespace, *homes})
