"""What holds for all tests."""

from hypothesis import HealthCheck, settings

from flows.environment import prepare

# Before any test's import of Prefect.
prepare()

# Machines are slow and shared: an example that takes long is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
