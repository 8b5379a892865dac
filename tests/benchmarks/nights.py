"""What nights on unchanged data cost servers and stores: `python -m tests.benchmarks.nights [--runs 200]`.

Starts all that `mfcore up` starts, in a folder of its own, and has the worker take one run of the
nightly deployment after another, each due when the one before has ended. The first one trains, on
few ratings; the others reuse every stage. Any run that does not complete ends it. Memory is the
resident memory of each server with its children, between two runs; bytes are those of the files.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.servers.stack import Stack
from tests.flows.conftest import SMALL
from tests.flows.project import Project

CONFIG = {
    "tuning": {"n_trials": 2, "algorithms": ["als"], "validation": "single"},
    "report": {"enabled": True},
}
SHOWN = (1, 5, 10, 50, 100, 200)
PATIENCE_S = 600
STORES = {
    "stages and exports": ("{home}/raw", "{home}/ratings", "{home}/splits", "{home}/studies", "{home}/evaluations",
                           "exports"),
    "MLflow's artifacts": ("{home}/servers/artifacts",),
    "databases": ("{home}/servers/databases", "{home}/servers/postgresql"),
    "logs, Prefect's home": ("{home}/servers/logs", "{home}/servers/prefect"),
}  # fmt: skip
"""Folders by what lies in them."""


def memory(stack: Stack) -> Iterator[tuple[str, float]]:
    """Megabytes of each process that `up` started, with its children."""
    for server in stack.processes:
        family = [(parent := psutil.Process(server.pid)), *parent.children(recursive=True)]
        yield f"{server.name}, MB", sum(process.memory_info().rss for process in family) / 1e6


def sizes(folder: Path) -> Iterator[tuple[str, float]]:
    """Megabytes of each kind of store."""
    for name, places in STORES.items():
        roots = [folder / place.format(home=".mfcore") for place in places]
        files = [path for root in roots for path in root.rglob("*") if path.is_file()]
        yield f"{name}, MB", sum(path.stat().st_size for path in files) / 1e6


def night(client: SyncPrefectClient) -> FlowRun:
    """Have the worker take a run of the nightly deployment that is due now, and wait for its end."""
    deployment = client.read_deployment_by_name("pipeline/nightly")
    run = client.create_flow_run_from_deployment(deployment.id)
    deadline = time.monotonic() + PATIENCE_S
    while not (run.state is not None and run.state.is_final()):
        if time.monotonic() > deadline:
            sys.exit(f"{run.name} does not end: {run.state}")
        time.sleep(0.5)
        run = client.read_flow_run(run.id)
    if not run.state.is_completed():
        for line in client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))):
            print(line.message, file=sys.stderr)
        sys.exit(f"{run.name}: {run.state.name}, {run.state.message}")
    return run


def measure(folder: Path, n_runs: int) -> list[dict[str, float]]:
    """The nights, a row for each."""
    # The worker looks for runs every 2 s instead of 15, so that the nights follow each other sooner.
    project = Project(folder, {"nightly": {"dataset": SMALL, "config": CONFIG}}, PREFECT_WORKER_QUERY_SECONDS="2")
    rows = []
    try:
        stack = project.up()
        with temporary_settings({PREFECT_API_URL: stack.prefect_url}), get_client(sync_client=True) as client:
            for number in range(1, n_runs + 1):
                began = time.monotonic()
                run = night(client)
                seconds = {"run, s": run.total_run_time.total_seconds(), "due to end, s": time.monotonic() - began}
                # The process ends a little after the run, and is none of the worker's own.
                parent = psutil.Process(next(one.pid for one in stack.processes if one.name == "worker"))
                psutil.wait_procs(parent.children(recursive=True), timeout=60)
                rows.append({"night": number, **seconds, **dict(memory(stack)), **dict(sizes(folder))})
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    finally:
        project.start("down").communicate()
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="An empty folder that is kept")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        arguments.folder.mkdir(parents=True)
        rows = measure(arguments.folder.absolute(), arguments.runs)
    else:
        with tempfile.TemporaryDirectory(prefix="mfcore-nights-") as folder:
            rows = measure(Path(folder), arguments.runs)
    shown = [row for row in rows if row["night"] in {*SHOWN, len(rows)}]
    names = list(rows[0])
    print(f"| {names[0]} | {' | '.join(str(row[names[0]]) for row in shown)} |\n|---|{'---|' * len(shown)}")
    for name in names[1:]:
        print(f"| {name} | {' | '.join(f'{row[name]:.1f}' for row in shown)} |")


if __name__ == "__main__":
    main()
