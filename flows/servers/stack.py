"""All that a night needs, started in order and stopped together: databases, Prefect, MLflow, deployments, a worker."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from flows.servers.databases import SQLITE, WHEEL, Databases, choose, in_files, on_server, start_postgresql
from flows.servers.processes import Process, spawn, wait_for, wait_until
from mfcore import __version__
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.health import silence_of
from mfcore.settings import Settings
from mfcore.storage.files import locked, sha256_of, write_file

__all__ = ["DEPLOYMENTS", "LEASES", "VACUUM", "Options", "Stack", "down", "up"]

DEPLOYMENTS = Path("deployment/prefect.yaml")
LEASES = "prefect.server.concurrency.lease_storage.filesystem"
"""Where Prefect's server remembers whose turn it is: one that is restarted has forgotten what it had in memory."""

VACUUM = "events,flow_runs"
"""What Prefect's server deletes when it is old; by itself it keeps every run, with its logs and artifacts, for ever."""

_POOL = "mfcore"
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Options:
    """What `up` can be told.

    Attributes:
        host: the address that servers listen on.
        prefect_port: of Prefect's server.
        mlflow_port: of MLflow's server.
        database: `sqlite`, `wheel`, or the URL of a PostgreSQL server; None: as before, or the best there is.
        artifacts: where MLflow's server keeps artifacts, as a folder or a URL such as s3://bucket/mlflow; None: as
            before, or a folder of its own.
    """

    host: str = "127.0.0.1"
    prefect_port: int = 4200
    mlflow_port: int = 5000
    database: str | None = None
    artifacts: str | None = None


class Stack(BaseModel):
    """What has been started, as kept in a file from one command to the next.

    Attributes:
        database: the kind of database, or its URL.
        artifacts: where MLflow's artifacts are; None: in a folder of its own.
        prefect_url: the API of Prefect's server.
        mlflow_url: MLflow's server.
        optuna_url: Optuna's database, for `tuning.storage`; None without PostgreSQL.
        processes: in the order in which they were started.
        deployed: fingerprint of the deployments that Prefect's server has.
    """

    database: str
    artifacts: str | None = None
    prefect_url: str
    mlflow_url: str
    optuna_url: str | None = None
    processes: list[Process] = []
    deployed: str = ""

    @classmethod
    def read(cls, home: Path) -> "Stack | None":
        """The stack of a home folder; None if there has been none."""
        try:
            return cls.model_validate_json(_file(home).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise UsageError(f"{_file(home)} can't be read: end the servers by hand, and remove it.") from error

    def write(self, home: Path) -> None:
        """Keep it."""
        write_file(_file(home), self.model_dump_json(indent=1))

    def process(self, name: str) -> Process | None:
        """The process of that name, if it runs."""
        return next((process for process in self.processes if process.name == name and process.is_alive), None)

    @property
    def environment(self) -> dict[str, str]:
        """What points commands to these servers."""
        return {"PREFECT_API_URL": self.prefect_url, "MLFLOW_TRACKING_URI": self.mlflow_url}


def up(settings: Settings, options: Options, tell: Callable[[str], None]) -> Stack:
    """Start what does not run yet, and wait until it answers.

    A second `up` beside the first waits for it, and finds everything there.

    Raises:
        SourceUnavailable: a server did not start; those that ran go on.
        UsageError: a port is taken, or there are no deployments here.
    """
    if not DEPLOYMENTS.exists():
        raise UsageError(f"there is no {DEPLOYMENTS} here: change to the project's root.")
    _folder(settings.home).mkdir(parents=True, exist_ok=True)
    with locked(_folder(settings.home) / "up"):
        return _Starting(settings, options, tell).everything()


def down(settings: Settings, tell: Callable[[str], None]) -> list[str]:
    """Stop what `up` started, last first, and nothing else; return the names of what ran."""
    if not _file(settings.home).exists():
        return []
    with locked(_folder(settings.home) / "up"):
        stack = Stack.read(settings.home)
        if stack is None:
            return []
        stopped = []
        for process in reversed(stack.processes):
            if process.stop():
                tell(f"{process.name} stopped")
                stopped.append(process.name)
        stack.processes = []
        stack.write(settings.home)
    return stopped


class _Starting:
    """One call of `up`."""

    def __init__(self, settings: Settings, options: Options, tell: Callable[[str], None]) -> None:
        self.settings, self.options, self.tell = settings, options, tell
        self.folder = _folder(settings.home)
        before = Stack.read(settings.home)
        for process in before.processes if before else []:
            if process.url is not None and not process.is_alive:
                process.stop()  # what it left, which may hold the port; what a worker left is a run, and goes on
        self.stack = Stack(
            database=choose(options.database, before.database if before else None),
            artifacts=_same(options.artifacts, before),
            prefect_url=f"http://{self._local}:{options.prefect_port}/api",
            mlflow_url=f"http://{self._local}:{options.mlflow_port}",
            processes=[process for process in before.processes if process.is_alive] if before else [],
            deployed=before.deployed if before else "",
        )
        running = {process.name: process.url for process in self.stack.processes}
        for name, url in (
            ("Prefect", f"{self.stack.prefect_url}/health"),
            ("MLflow", f"{self.stack.mlflow_url}/health"),
        ):
            if running.get(name, url) != url:
                raise UsageError(f"{name} runs already, at {running[name]}: `mfcore down` first, or the same options.")

    @property
    def _local(self) -> str:
        """Where this machine reaches what listens on the host; 0.0.0.0 is no address to ask."""
        host = self.options.host
        return "127.0.0.1" if host in (*_LOOPBACK, "0.0.0.0") else host

    def everything(self) -> Stack:
        databases = self._databases()
        self.stack.optuna_url = databases.optuna
        environment = {
            **os.environ,
            **self.stack.environment,
            "PREFECT_HOME": str(self.folder / "prefect"),
            "MFCORE_HOME": str(self.settings.home),
            "MFCORE_EXPORTS": self.settings.exports_url or str(self.settings.exports),
        }
        self._prefect(databases, environment)
        self._mlflow(databases, environment)
        self._deploy(environment)
        self._worker(environment)
        return self.stack

    def _databases(self) -> Databases:
        if self.stack.database == SQLITE:
            return in_files(self.folder / "databases")
        if self.stack.database != WHEEL:
            return on_server(self.stack.database)
        known = self.stack.process("PostgreSQL")
        process, url = start_postgresql(self.folder / "postgresql")
        if known is None:
            self._add(process)
        return on_server(url, self.folder / "databases")

    def _prefect(self, databases: Databases, environment: dict[str, str]) -> None:
        own = {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": databases.prefect,
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": LEASES,
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": VACUUM,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_UI_URL": self.stack.prefect_url.removesuffix("/api"),
        }
        host, port = self.options.host, self.options.prefect_port
        if self._is_open:
            own["PREFECT_UI_API_URL"] = f"http://{socket.gethostname()}:{port}/api"
        command = [*_prefect("server", "start", "--host", host, "--port", str(port), "--log-level", "WARNING")]
        self._server("Prefect", command, {**environment, **own}, f"{self.stack.prefect_url}/health", port)

    def _mlflow(self, databases: Databases, environment: dict[str, str]) -> None:
        host, port = self.options.host, self.options.mlflow_port
        command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts"]
        command += ["--artifacts-destination", self.stack.artifacts or str(self.folder / "artifacts")]
        command += ["--host", host, "--port", str(port), "--workers", "1"]
        if self._is_open:
            names = dict.fromkeys([*_LOOPBACK, host, socket.gethostname(), socket.getfqdn()])
            command += ["--allowed-hosts", ",".join(f"{name}:*" for name in names)]
        own = {
            "MLFLOW_BACKEND_STORE_URI": databases.mlflow,  # not on the command line, which everybody can read
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        del environment["MLFLOW_TRACKING_URI"]  # the server is what this names
        self._server("MLflow", command, {**environment, **own}, f"{self.stack.mlflow_url}/health", port)
        environment["MLFLOW_TRACKING_URI"] = self.stack.mlflow_url

    def _server(self, name: str, command: list[str], environment: dict[str, str], url: str, port: int) -> None:
        """Start a server if it does not run, and wait until it answers."""
        process = self.stack.process(name)
        if process is None:
            if silence_of(url) is None or not _is_free(self.options.host, port):
                raise UsageError(
                    f"port {port}, for {name}, is taken by a process that `up` did not start: end it, "
                    f"or name another port with --{name.lower()}-port."
                )
            process = self._add(spawn(name, command, environment, self._log(name), url))
        wait_for(process)
        self.tell(f"{name} at {url.removesuffix('/health')}")

    def _deploy(self, environment: dict[str, str]) -> None:
        """Give Prefect's server the work pool, the deployments and the automations, if it has others."""
        wanted = f"{sha256_of(DEPLOYMENTS)} {Path.cwd()} {self.stack.prefect_url} {__version__}"
        if self.stack.deployed != wanted:
            pool = _said(_prefect("work-pool", "create", _POOL, "--type", "process"), environment)
            if pool.returncode != 0 and "already exists" not in pool.stdout + pool.stderr:
                raise SourceUnavailable(f"Prefect made no work pool: {(pool.stdout + pool.stderr).strip()}")
            self._run(
                "deployments",
                _prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)),
                environment,
            )
            self.stack.deployed = wanted
            self.stack.write(self.settings.home)
        self._run("automations", [sys.executable, "-m", "flows.automations"], environment)
        self.tell("deployments and automations")

    def _worker(self, environment: dict[str, str]) -> None:
        if self.stack.process("worker") is None:
            name = f"{socket.gethostname()}-{os.getpid()}"
            command = _prefect("worker", "start", "--pool", _POOL, "--name", name)
            process = self._add(spawn("worker", command, environment, self._log("worker"), None))

            def is_up() -> bool:
                if not process.is_alive:
                    raise SourceUnavailable(f"the worker ended: see {process.log}")
                return name in _workers(self.stack.prefect_url)

            wait_until(is_up, f"the worker did not report to Prefect: see {process.log}")
        self.tell(f"worker of the pool {_POOL}")

    def _run(self, what: str, command: list[str], environment: dict[str, str]) -> None:
        done = _said(command, environment)
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise SourceUnavailable(f"Prefect's server did not take the {what}: {' '.join(reason)}")

    def _add(self, process: Process) -> Process:
        """Remember a process at once: an `up` that is killed now leaves it to the next one."""
        self.stack.processes = [other for other in self.stack.processes if other.name != process.name] + [process]
        self.stack.write(self.settings.home)
        return process

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name.lower()}.log"

    @property
    def _is_open(self) -> bool:
        """Whether servers listen to other machines."""
        return self.options.host not in _LOOPBACK


def _same(wanted: str | None, before: Stack | None) -> str | None:
    """Where artifacts are to be kept: what is there already stays where it is.

    Raises:
        UsageError: it would be another place than before.
    """
    if before is not None and wanted not in (None, before.artifacts):
        raise UsageError(
            f"models of this folder lie in {before.artifacts or 'the folder itself'}, not {wanted}: leave --artifacts "
            "out, or set MFCORE_HOME to another folder."
        )
    return before.artifacts if before is not None else wanted


def _folder(home: Path) -> Path:
    return home / "servers"


def _file(home: Path) -> Path:
    return _folder(home) / "stack.json"


def _prefect(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *arguments]


def _said(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _workers(prefect_url: str) -> set[str]:
    """Names of the workers that Prefect's server holds to be alive."""
    request = urllib.request.Request(
        f"{prefect_url}/work_pools/{_POOL}/workers/filter", data=b"{}", headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return {worker["name"] for worker in json.load(answer) if worker["status"] == "ONLINE"}


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
