"""A check of the environment: what has to hold for a run to go well, and what to do where it does not."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from packaging.requirements import Requirement
from pydantic import BaseModel

from mfcore import __version__
from mfcore.errors import MfcoreError, NothingToWorkFrom
from mfcore.health import silence_of
from mfcore.machine import n_cores
from mfcore.settings import Settings

__all__ = ["Finding", "examine"]

_ENOUGH_DISK_GB = 2


class Finding(BaseModel):
    """One thing looked at."""

    what: str
    status: Literal["ok", "warn", "fail"]
    found: str


def examine() -> list[Finding]:
    """Look at packages, folders, the tracking store, Prefect's server and the machine."""
    settings = Settings.read()
    findings = [Finding(what="mfcore", status="ok", found=f"{__version__}, Python {platform.python_version()}")]
    findings += _packages()
    for what, folder in (("home (MFCORE_HOME)", settings.home), ("exports (MFCORE_EXPORTS)", settings.exports)):
        findings.append(_folder(what, folder))
    findings.append(_tracking(settings))
    findings.append(_prefect())
    findings.append(
        Finding(what="machine", status="ok", found=f"{n_cores()} cores, {platform.machine()}, {sys.platform}")
    )
    return findings


def _packages() -> Iterator[Finding]:
    """The installed versions against the bounds that this version of mfcore needs."""
    wrong = []
    try:
        needed = [Requirement(line) for line in requires("mfcore") or ()]
    except PackageNotFoundError:
        yield Finding(what="packages", status="warn", found="mfcore is not installed: run `pip install .`")
        return
    for requirement in needed:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            installed = "none"
        if installed == "none" or not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed}, needed {requirement.specifier}")
    if wrong:
        yield Finding(what="packages", status="fail", found="; ".join(wrong) + ": run `pip install .` again")
    else:
        yield Finding(what="packages", status="ok", found=f"{len(needed)} requirements met")


def _folder(what: str, folder: Path) -> Finding:
    """Whether a file can be written where `folder` is or would be made."""
    place = folder
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free / 1e9
    except OSError as error:
        return Finding(what=what, status="fail", found=f"{folder}: {error.strerror}; choose another with the variable")
    status: Literal["ok", "warn"] = "ok" if free >= _ENOUGH_DISK_GB else "warn"
    return Finding(what=what, status=status, found=f"{folder}, {free:.0f} GB free")


def _tracking(settings: Settings) -> Finding:
    from mfcore.tracking.registry import Registry

    try:
        champion = Registry.newest(settings).require_champion()
    except NothingToWorkFrom as error:
        return Finding(what="registry", status="warn", found=str(error))
    except MfcoreError as error:
        return Finding(what="registry", status="fail", found=str(error))
    return Finding(what="registry", status="ok", found=f"champion {champion.name} version {champion.version}")


def _prefect() -> Finding:
    """Whether flows will find the server that is configured."""
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return Finding(what="Prefect", status="ok", found="no PREFECT_API_URL: each run starts a temporary server")
    reason = silence_of(f"{address.rstrip('/')}/health")
    if reason is None:
        return Finding(what="Prefect", status="ok", found=f"server at {urlparse(address).netloc} answers")
    return Finding(what="Prefect", status="fail", found=f"{address}: {reason}; start `prefect server start`")
