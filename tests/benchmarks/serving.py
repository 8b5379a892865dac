"""What serving costs: `python -m tests.benchmarks.serving [--requests 500] [--long 0]`, in a store of its own.

A model of 10,000 items with 64 factors in each head is registered and asked: inside the pyfunc, through
`mfcore serve` and through `mlflow models serve`. Beside the time that a client waits stands the CPU time of the
server's processes per request, which other work on the machine changes less. `--long 100000` asks so many
times in a row and prints how the server's memory grows.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from mfcore.data.ratings import Ratings
from mfcore.data.synthetic import synthesize
from mfcore.models import ALS
from mfcore.models.model import Model
from mfcore.settings import Settings
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment

__all__ = ["main"]

_N_USERS, _N_ITEMS, _N_RATINGS = 20_000, 10_000, 1_000_000
_URI = "models:/mfcore-films@champion"
_BIN = Path(sys.executable).parent
_N_CLIENTS = 16

_LOAD = """
import time; t = time.perf_counter()
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/mfcore-films@champion")
model.predict(pd.DataFrame({"user_id": [1]}), params={"k": 20})
print(time.perf_counter() - t, time.process_time())
"""

_PYFUNC = """
import resource, sys, time
import mlflow, numpy as np, pandas as pd
model = mlflow.pyfunc.load_model("models:/mfcore-films@champion")
for n in (100, 1_000, 100_000):
    asked = pd.DataFrame({"user_id": 1 + np.arange(n) % 20_000})
    started, cpu, before = time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_rows = len(model.predict(asked, params={"k": 20}))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"  {n:,} users: {1e3 * seconds / n:.3f} ms and {1e3 * cpu / n:.3f} CPU ms per user, {n_rows:,} rows, "
          f"{more:,.0f} MiB more at the peak")
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500, help="of each kind")
    parser.add_argument("--long", type=int, default=0, help="requests in a row, to see whether memory grows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mfcore-") as scratch:
        environment = _register(Path(scratch))
        wall, cpu = _run(_LOAD, environment).split()
        print(f"load from a clean process and answer once: {float(wall):.2f} s, {float(cpu):.2f} CPU s")
        print(f"inside the pyfunc, lists of 20 of {_N_ITEMS:,} items:")
        print(_run(_PYFUNC, environment), end="")
        _measure_serve(environment, arguments.requests, arguments.long)
        _measure_mlflow(environment, arguments.requests)


def _register(folder: Path) -> dict[str, str]:
    """Make a champion; returns the environment that finds it."""
    own = {"MFCORE_HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlruns' / 'mlflow.db'}"}
    settings = Settings.read(own)
    synthetic = synthesize(_N_USERS, _N_ITEMS, _N_RATINGS)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    rating = ALS(n_factors=64, n_epochs=1).train(ratings)
    ranking = ALS(n_factors=64, n_epochs=1, missing_weight=0.1).train(ratings)
    registry = Registry(settings, "films")
    with Experiment(settings, "films").run("register") as run:
        uri = log_model(Model.of(rating, ratings, None, ranking), run, "als", {}, {})
    registry.add(uri, run, recipes={}, fingerprint="f", data="d", split="s", metrics={}, description="")
    registry.promote(1)
    return {**os.environ, **own, "PATH": f"{_BIN}:{os.environ['PATH']}", "MLFLOW_LOGGING_LEVEL": "ERROR"}


def _run(script: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        text=True,
    ).stdout


def _measure_serve(environment: dict[str, str], n: int, n_long: int) -> None:
    kinds: dict[str, tuple[str, Callable[[int], Any]]] = {
        "predict, 1 item": ("/predict", lambda i: {"user_id": 1 + i % _N_USERS, "item_ids": [1 + i % _N_ITEMS]}),
        "recommend, k = 20": ("/recommend", lambda i: {"user_id": 1 + i % _N_USERS, "k": 20}),
        "somebody new, k = 20": ("/recommend", lambda i: {"ratings": {"50": 5, "181": 4, str(1 + i % 40): 3}, "k": 20}),
        "similar, k = 20": ("/similar", lambda i: {"item_id": 1 + i % _N_ITEMS, "k": 20}),
        "explain": ("/explain", lambda i: {"user_id": 1 + i % _N_USERS, "item_id": 50}),
    }

    def mix(i: int) -> tuple[str, Any]:
        path, body = kinds["recommend, k = 20" if i % 2 else "predict, 1 item"]
        return path, body(i)

    command = [_BIN / "mfcore", "serve", "-d", "films"]
    for workers in (1, 2):
        with _server([*command, "--workers", str(workers)], environment, "/ready") as server:
            print(f"mfcore serve, {workers} process{'es' if workers > 1 else ''}:")
            if workers == 1:
                for name, (path, body) in kinds.items():
                    print(f"  {name:21} {server.ask(n, lambda i, path=path, body=body: (path, body(i)))}")
            print(f"  {'half of both':21} {server.ask_at_once(4 * n, mix)}")
            if n_long and workers == 1:
                before = server.memory()
                server.ask_at_once(n_long // 2, mix)
                half = server.memory()
                server.ask_at_once(n_long // 2, mix)
                print(f"  memory before, after half and all of {n_long:,} requests: "
                      f"{before:.0f}, {half:.0f}, {server.memory():.0f} MiB")  # fmt: skip


def _measure_mlflow(environment: dict[str, str], n: int) -> None:
    def one(i: int) -> tuple[str, Any]:
        return "/invocations", {"dataframe_split": {"columns": ["user_id", "item_id"], "data": [[1 + i, 50]]}}

    def top(i: int) -> tuple[str, Any]:
        return "/invocations", {
            "dataframe_split": {"columns": ["user_id"], "data": [[1 + i]]},
            "params": {"k": 20},
        }

    command = [_BIN / "mlflow", "models", "serve", "-m", _URI, "--env-manager", "local"]
    with _server(command, environment, "/ping") as server:
        print("mlflow models serve:")
        for name, body in (("predict, 1 item", one), ("lists, k = 20", top)):
            print(f"  {name:21} {server.ask(n, body)}")


class _Server:
    """A server process and its children."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self._port, self._process = port, process

    def ask(self, n: int, asked: Callable[[int], tuple[str, Any]]) -> str:
        """Times of `n` requests, one after the other, after 50 more."""
        client, times = self._client(), []
        for i in range(50):
            self._post(client, *asked(i))
        cpu = self._cpu()
        for i in range(n):
            started = time.perf_counter()
            self._post(client, *asked(i))
            times.append(time.perf_counter() - started)
        times.sort()
        cpu_ms = 1e3 * (self._cpu() - cpu) / n
        return f"median {1e3 * statistics.median(times):.2f} ms, p99 {1e3 * times[n * 99 // 100]:.2f} ms, " + (
            f"{cpu_ms:.2f} CPU ms"
        )

    def ask_at_once(self, n: int, asked: Callable[[int], tuple[str, Any]]) -> str:
        """Requests a second of several clients at once, each of which asks again as soon as it is answered."""

        def work(first: int) -> None:
            client = self._client()
            for i in range(first, n, _N_CLIENTS):
                self._post(client, *asked(i))

        started, cpu, own = time.perf_counter(), self._cpu(), time.process_time()
        with ThreadPoolExecutor(_N_CLIENTS) as clients:
            list(clients.map(work, range(_N_CLIENTS)))  # raises what a client met
        seconds = time.perf_counter() - started
        return (
            f"{n / seconds:.0f} requests/s, {1e3 * (self._cpu() - cpu) / n:.2f} CPU ms each; "
            f"the clients took {(time.process_time() - own) / seconds:.0%} of a core"
        )

    def memory(self) -> float:
        """Resident, in MiB."""
        return sum(one.memory_info().rss for one in self._family()) / 2**20

    def _client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)

    def _post(self, client: http.client.HTTPConnection, path: str, body: Any) -> None:
        client.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = client.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    def _cpu(self) -> float:
        times = [one.cpu_times() for one in self._family()]
        return sum(one.user + one.system for one in times)

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


@contextmanager
def _server(command: list[Any], environment: dict[str, str], ready: str) -> Iterator[_Server]:
    from tests.flows.conftest import free_port, stop, wait_for

    port = free_port()
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=environment,
        cwd=environment["MFCORE_HOME"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}{ready}", process)
        yield _Server(port, psutil.Process(process.pid))
    finally:
        stop(process)


if __name__ == "__main__":
    main()
