"""Container files, as far as they can be checked without containers."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings.models.server.services import ServerServicesDBVacuumSettings

from flows.servers.stack import LEASES, VACUUM

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deployment" / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deployment" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_the_image_is_built_apart_and_does_not_run_as_root() -> None:
    assert DOCKERFILE.count("\nFROM ") == 2
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\w+)$", last, re.M) == ["mfcore"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source.partition('/')[0]}" in ignored, f"{source} is not sent to the build"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_waited_for_as_it_can_be(name: str) -> None:
    service = SERVICES[name]
    once = service["restart"] == "no"
    assert once or "healthcheck" in service
    for other, condition in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if SERVICES[other]["restart"] == "no" else "service_healthy"
        assert condition == {"condition": expected}
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{port} is open to other machines"


def test_containers_and_up_set_the_same() -> None:
    server = SERVICES["prefect"]["environment"]
    assert server["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == LEASES
    assert server["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"] == VACUUM
    kinds = ServerServicesDBVacuumSettings(enabled=VACUUM).enabled_vacuum_types
    assert {"events", "flow_runs"} <= kinds
    assert SERVICES["worker"]["environment"]["PREFECT_API_URL"] == "http://prefect:4200/api"
    assert {"prefect:4200", "mlflow:5000"} == {
        url.partition("//")[2].removesuffix("/api") for url in SERVICES["worker"]["environment"].values()
    }
