"""Use an installed mfcore as a stranger would: every public name, every command's help, a run and a bench.

It runs in an environment that holds the wheel and what it needs, in an empty folder.
"""

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import mfcore


def names() -> int:
    """Import every module, and look up every name that one says it offers."""
    count = 0
    for package in ("mfcore", "flows"):
        root = import_module(package)
        if "site-packages" not in str(root.__file__):
            raise SystemExit(f"{package} came from {root.__file__}, not from the wheel")
        modules = [one.name for one in pkgutil.walk_packages(root.__path__, f"{package}.")]
        for name in (package, *(one for one in modules if not one.endswith(".__main__"))):
            module = import_module(name)
            for public in getattr(module, "__all__", ()):
                getattr(module, public)
                count += 1
    return count


def command(*arguments: str) -> str:
    """What `mfcore` prints; its errors end this check."""
    done = subprocess.run(["mfcore", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"mfcore {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def commands() -> list[str]:
    """Names of all commands, as the program itself knows them."""
    import typer

    from mfcore.cli import app

    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


if mfcore.__version__ != version("mfcore"):
    raise SystemExit(f"mfcore.__version__ is {mfcore.__version__}, the wheel's version {version('mfcore')}")
print(f"mfcore {mfcore.__version__} on Python {sys.version.split()[0]}: {names()} public names")
for name in commands():
    command(name, "--help")
print(f"help of {len(commands())} commands")
synthetic = "synthetic:users=120,items=60,ratings=2400"
result = json.loads(command("run", "-d", synthetic, "--algorithms", "als", "--trials", "2", "--json"))
print(f"run: version {result['version']}, exports in {result['export_path']}")
command("bench", "--shapes", "ml-100k", "--contests", "als", "--json")
print("bench")
