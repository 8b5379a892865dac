"""What a person sees who starts a night in Prefect: the form of the pipeline's deployment, in a browser."""

import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.parameters import configured
from flows.pipeline import pipeline
from tests.browser import BROWSER, DRIVER, browser

PATIENCE_S = 120

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and chromedriver on the PATH"),
]


def test_the_form_asks_for_three_settings_and_then_for_all(prefect_server: dict[str, str], tmp_path: Path) -> None:
    api = prefect_server["PREFECT_API_URL"]
    connected = temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: prefect_server["PREFECT_HOME"]})
    with connected, get_client(sync_client=True) as client, browser(tmp_path / "browser", 1400, 3000) as driver:
        given = {"dataset": "ml-100k", "config": {"report": {"enabled": True}}}
        schema = pipeline.parameters.model_dump_for_openapi()
        deployment = client.create_deployment(
            client.create_flow(pipeline), "asked-in-a-browser", parameters=given, parameter_openapi_schema=schema
        )

        def text() -> str:
            return driver.find_element("tag name", "body").text

        driver.get(f"{api.removesuffix('/api')}/deployments/deployment/{deployment}/run")
        deadline = time.monotonic() + PATIENCE_S
        while "algorithms" not in text() and time.monotonic() < deadline:
            time.sleep(0.5)
        seen = text()
        places = [seen.find(f"{name} (Optional)") for name in ("dataset", "n_trials", "algorithms", "config")]
        assert -1 not in places and places == sorted(places), seen[:1500]
        assert "Trials per study" in seen and ">>>" not in seen
        (submit,) = [one for one in driver.find_elements("tag name", "button") if one.text == "Submit"]
        submit.click()
        ours = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
        while not (runs := client.read_flow_runs(deployment_filter=ours)) and time.monotonic() < deadline:
            time.sleep(0.5)
        client.delete_deployment(deployment)
    (run,) = runs
    assert configured(run.parameters) == configured(given)
