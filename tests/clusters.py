"""Dask and Ray clusters of two workers on loopback; all that they have started is stopped afterwards."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from mfcore.health import silence_at
from tests.flows.conftest import free_port

__all__ = ["Cluster", "dask_cluster", "ray_cluster"]

_START_S = 120
BIN = Path(sys.executable).parent


class Cluster:
    """A cluster's address, and its processes: those with a home of its own, but for a run's that has the same."""

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self.address, self._home = address, environment["HOME"]

    def processes(self) -> Iterator[psutil.Process]:
        """All of them."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("HOME") != self._home:
                    continue
                if not any("mfcore" in one.cmdline() for one in (process, *process.parents())):
                    yield process

    def runs(self, module: str) -> bool:
        """Whether one of them runs a module."""
        for process in self.processes():
            with suppress(psutil.Error):
                if module in process.cmdline():
                    return True
        return False

    def kill(self) -> None:
        """Kill them all, and those that they start meanwhile."""
        while processes := list(self.processes()):
            for process in processes:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(processes, timeout=1)


@contextmanager
def dask_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A scheduler and two workers."""
    place = f"127.0.0.1:{free_port()}"
    port = place.rpartition(":")[2]
    worker = ("dask_worker", f"tcp://{place}", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard", "--no-nanny")
    with ExitStack() as stack:
        cluster = Cluster(f"dask://{place}", environment)
        stack.callback(cluster.kill)
        scheduler = ("dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
        for program, *arguments in (scheduler, worker, worker):
            command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
            stack.enter_context(_started(folder, environment, command))
        from distributed import Client

        with Client(f"tcp://{place}", timeout=_START_S) as client:
            client.wait_for_workers(2, timeout=_START_S)
        yield cluster


@contextmanager
def ray_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
    """A head that runs two tasks at a time, and speaks with clients that are not on its machine."""
    port, client = free_port(), free_port()
    with ExitStack() as stack:
        # Sockets lie in it, whose paths must be short.
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-"))
        cluster = Cluster(f"ray://127.0.0.1:{client}", environment)
        stack.callback(cluster.kill)
        command = [
            *(str(BIN / "ray"), "start", "--head", "--block", "--num-cpus", "2", "--include-dashboard", "false"),
            *("--port", str(port), "--ray-client-server-port", str(client), "--node-ip-address", "127.0.0.1"),
            *("--temp-dir", short, "--object-store-memory", str(200 << 20), "--disable-usage-stats"),
        ]
        process = stack.enter_context(_started(folder, environment, command))
        deadline = time.monotonic() + _START_S
        while silence_at(f"127.0.0.1:{client}", 1) is not None:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "cluster.log").read_text()
            time.sleep(0.5)
        yield cluster


@contextmanager
def _started(folder: Path, environment: Mapping[str, str], command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is to be killed by its cluster, and is waited for here."""
    with (folder / "cluster.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
