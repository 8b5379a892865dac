"""What holds for all tests."""

import gc
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
