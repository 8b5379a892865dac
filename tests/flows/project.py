"""A project's root of one's own, with servers of its own, and the command as somebody calls it there."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flows.servers.stack import Stack
from tests.flows.conftest import free_port

__all__ = ["OURS", "Project"]

ROOT = Path(__file__).parents[2]
OURS = ("MFCORE_HOME", "MFCORE_EXPORTS", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL")


class Project:
    """A folder with the flows, and some of the deployments, none of which has a schedule.

    Args:
        folder: an empty one.
        parameters: of a deployment, by its name; others are left out.
        variables: of the environment of servers and commands.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any], **variables: str) -> None:
        self.folder = folder
        (folder / "flows").symlink_to(ROOT / "flows")
        (folder / "deployment").mkdir()
        tree = yaml.safe_load((ROOT / "deployment" / "prefect.yaml").read_text())
        tree["deployments"] = [one for one in tree["deployments"] if one["name"] in parameters]
        for one in tree["deployments"]:
            one.update(parameters=parameters[one["name"]], schedules=[])
        (folder / "deployment" / "prefect.yaml").write_text(yaml.safe_dump(tree))
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environment = {**kept, "HOME": str(folder), **variables}
        self._ports = ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "mfcore", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """What a command, which has to come to its end, prints."""
        printed, told = (process := self.start(*arguments)).communicate()
        assert process.returncode == 0, told
        return printed

    def up(self) -> Stack:
        """Start what does not run of the servers; later commands use them."""
        self.run("up", *self._ports)
        stack = Stack.read(self.folder / ".mfcore")
        assert stack is not None
        self.environment |= stack.environment
        return stack
