import subprocess
import sys
import time

LIGHT = """
import sys, time
started = time.perf_counter()
sys.argv = ["mfcore", "--help"]
from mfcore.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {"numpy", "pandas", "prefect", "mlflow", "numba", "optuna", "great_expectations", "pyarrow", "pydantic"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def test_help_loads_nothing_heavy() -> None:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "recommend" in done.stdout
    assert time.perf_counter() - started < 5


def test_every_command_explains_itself() -> None:
    import typer

    from mfcore.cli import app

    group = typer.main.get_command(app)
    names = {"run", "download", "validate", "split", "tune", "evaluate", "register", "export", "datasets", "recommend"}
    assert names | {"similar", "predict", "models", "promote", "rollback", "bench", "ui", "doctor"} <= set(
        group.commands
    )
    for name, command in group.commands.items():
        assert command.help, name
        assert "--json" in [option for parameter in command.params for option in parameter.opts], name
