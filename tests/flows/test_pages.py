"""What a person sees who opens MLflow: its pages, rendered by a browser, on the store of a small run."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mfcore.settings import Settings
from tests.browser import BROWSER, DRIVER, browser
from tests.flows.conftest import BIN, SMALL, Mfcore, free_port, ran, stop, wait_for

NAME = "synthetic-120x60-3000"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Chromium and chromedriver on the PATH"),
]

Page = Callable[..., str]


@pytest.fixture(scope="module")
def first(mfcore: Mfcore) -> dict[str, Any]:
    return ran(mfcore, "--dataset", SMALL, "--trials", 5)


@pytest.fixture(scope="module")
def opened(first: dict[str, Any], place: Path) -> Iterator[str]:
    """The address that `mfcore ui` says, whose pages answer."""
    port = free_port()
    command = [str(BIN / "mfcore"), "ui", "--port", str(port)]
    with (place / "ui.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=place, env=dict(os.environ), stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            assert server.stdout is not None
            with server.stdout as said:
                yield said.readline().decode().strip()
        finally:
            stop(server)


@pytest.fixture(scope="module")
def url(opened: str) -> str:
    return opened.partition("#")[0] + "#"


@pytest.fixture(scope="module")
def page(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Open a page, wait until it shows all of `wanted`, and return its text."""
    from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
    from selenium.webdriver import Chrome
    from selenium.webdriver.support.ui import WebDriverWait

    seen = ""

    def shows(wanted: tuple[str, ...]) -> Callable[[Chrome], bool]:
        def look(driver: Chrome) -> bool:
            nonlocal seen
            # Descriptions longer than a few lines are folded.
            driver.execute_script(
                "for (const b of document.querySelectorAll('button')) if (b.textContent == 'Show more') b.click()"
            )
            seen = driver.find_element("tag name", "body").text
            return all(text in seen for text in wanted)

        return look

    def open_page(path: str, *wanted: str) -> str:
        driver.get("about:blank")
        driver.get(url + path)
        waiting = WebDriverWait(driver, 60, ignored_exceptions=[StaleElementReferenceException])
        try:
            waiting.until(shows(wanted))
        except TimeoutException:
            missing = [text for text in wanted if text not in seen]
            pytest.fail(f"{path} does not show {missing}, but:\n{seen}")
        return seen

    with browser(tmp_path_factory.mktemp("browser")) as driver:
        yield open_page


@pytest.fixture(scope="module")
def client(first: dict[str, Any], place: Path) -> MlflowClient:
    return MlflowClient(Settings.read().tracking_uri)


@pytest.fixture(scope="module")
def experiment(client: MlflowClient) -> str:
    """Its id."""
    found: str = client.get_experiment_by_name(f"mfcore/{NAME}").experiment_id
    return found


def runs(client: MlflowClient, experiment: str, **tags: str) -> list[Any]:
    wanted = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
    return list(client.search_runs([experiment], wanted))


def test_the_command_opens_the_experiment_with_its_metrics_at_first_sight(
    opened: str, page: Page, first: dict[str, Any], experiment: str
) -> None:
    path = opened.partition("#")[2]
    assert path.startswith(f"/experiments/{experiment}/runs?")
    metrics = ("test_rmse", "test_ndcg_at_10", "validation_rmse", "training_seconds")
    seen = page(path, "pipeline-", *metrics, f"{first['metrics']['test_rmse']:.3f}"[:4])
    assert "Traces" in seen and "Evaluation runs" not in seen  # the pages on training models


def test_the_list_of_experiments_says_what_each_is(page: Page, first: dict[str, Any]) -> None:
    page("/experiments", f"mfcore/{NAME}", "Matrix factorization of")


def test_the_experiment_says_where_to_look_and_lists_the_night(
    page: Page, first: dict[str, Any], experiment: str
) -> None:
    page(f"/experiments/{experiment}/runs?workflowType=machine_learning", "each night's search", "pipeline-")


def test_the_notes_links_lay_models_and_trials_beside_each_other(
    page: Page, client: MlflowClient, experiment: str
) -> None:
    note = client.get_experiment(experiment).tags["mlflow.note.content"]
    links = [part.partition(")")[0] for part in note.split("](#")[1:]]
    compared, rating, ranking, model = links
    charts = ("test_rmse", "train_rmse_by_epoch", "validation_rmse_by_epoch")
    page(compared, "finalist-rating-als", "finalist-ranking-sgd", "finalist-rating-pmf", "baseline-bias", *charts)
    page(rating, "rating-als-000", "rating-sgd-004", "rating-pmf-002", "validation_rmse_by_epoch", "15 matching runs")
    page(ranking, "ranking-als-000", "ranking-ease-004", "validation_ndcg_at_10_by_epoch", "20 matching runs")
    page(model, f"mfcore-{NAME}", "@ champion")


def test_the_nights_run_says_what_was_chosen_and_why(
    page: Page, first: dict[str, Any], client: MlflowClient, experiment: str
) -> None:
    run = client.get_run(first["run_id"])
    chosen = f"{first['metrics']['test_rmse']:.4f}"
    page(
        f"/experiments/{experiment}/runs/{first['run_id']}",
        run.info.run_name, "Chosen:", "There was no champion to compare with", chosen, "validation RMSE",
        "test NDCG@10",
        "most_popular", "3,000 ratings by 120 users on 60 items", first["export_path"],
        f"mfcore-{NAME} version 1",
    )  # fmt: skip


def test_figures_of_the_search_and_of_a_finalist_are_there_and_drawn(
    page: Page, first: dict[str, Any], client: MlflowClient, experiment: str
) -> None:
    searched = (
        "comparison",
        "learning_curves",
        "optimization_history",
        "parallel_coordinates",
        "parameter_importances",
    )
    files = [f"{name}.png" for name in searched]
    page(f"/experiments/{experiment}/runs/{first['run_id']}/artifacts/figures", *files, "data.html")
    (finalist,) = runs(client, experiment, role="finalist", algorithm="als", objective="rating")
    drawn = ("calibration", "errors_by_activity", "errors_by_rating", "learning_curve", "popularity")
    files = [f"{name}.png" for name in drawn]
    page(f"/experiments/{experiment}/runs/{finalist.info.run_id}/artifacts/figures", *files, "evaluation.json")


def test_a_finalist_shows_its_data_model_and_metrics(page: Page, client: MlflowClient, experiment: str) -> None:
    (finalist,) = runs(client, experiment, role="finalist", algorithm="als", objective="rating")
    page(
        f"/experiments/{experiment}/runs/{finalist.info.run_id}",
        "finalist-rating-als", "The best hyper-parameters found for als", f"{NAME} train and validation", "test_rmse",
        f"{finalist.data.metrics['test_rmse']:.4f}", "n_factors",
    )  # fmt: skip


def test_finalists_are_compared_by_test_error_in_parallel_coordinates(
    page: Page, client: MlflowClient, experiment: str
) -> None:
    ids = json.dumps([run.info.run_id for run in runs(client, experiment, role="finalist", objective="rating")])
    page(
        f"/compare-runs?runs={ids}&experiments=%5B%22{experiment}%22%5D",
        "Comparing 3 Runs", "Parallel Coordinates Plot", "Scatter Plot", "test_rmse", "finalist-rating-pmf", "reg_user",
    )  # fmt: skip


def test_the_champions_version_says_how_good_it_is(page: Page, first: dict[str, Any]) -> None:
    value = f"{first['metrics']['test_rmse']:.4f}"
    page(f"/models/mfcore-{NAME}/versions/1", "Trained on all", "test RMSE", value, "hyper-parameters", "@ champion")
