"""The documents' pictures: `make pictures` takes them anew, of a night on MovieLens 100K, in a headless browser."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from PIL import Image

from tests.browser import browser
from tests.flows.conftest import BIN, free_port

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / ".github" / "images"
MOST_BYTES = 200_000
NIGHT = ("run", "--json", "--trials", "6")


@contextmanager
def servers(place: Path) -> Iterator[dict[str, Any]]:
    """What `mfcore up` says of the servers it starts in a folder."""
    ports = "--prefect-port", str(free_port()), "--mlflow-port", str(free_port())
    try:
        yield mfcore(place, "up", "--json", "--database", "sqlite", *ports)
    finally:
        mfcore(place, "down", "--json")


def mfcore(place: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a command says in JSON."""
    own = {"MFCORE_HOME": str(place / "home"), "MFCORE_EXPORTS": str(place / "exports"), **environment}
    command = [str(BIN / "mfcore"), *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, stdout=subprocess.PIPE, text=True, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def take(profile: Path, url: str, name: str, size: tuple[int, int], wanted: str, crop: tuple[int, ...] = ()) -> None:
    """Open a page, wait until it shows `wanted` and has come to rest, and keep what is seen of it."""
    with browser(profile, *size, "hide-scrollbars") as driver:
        driver.get(url)
        until = time.monotonic() + 90
        while wanted not in driver.find_element("tag name", "body").text:
            if time.monotonic() > until:
                raise SystemExit(f"{url} does not show {wanted!r}")
            time.sleep(0.5)
        time.sleep(5)  # drawings move before they stay
        driver.execute_script(
            "const rule = document.createElement('style'); rule.textContent = '.modebar {display: none}';"
            "document.head.append(rule)"
        )
        place = IMAGES / name
        driver.save_screenshot(str(place))
    with Image.open(place) as picture:
        seen = picture.crop(crop) if crop else picture.copy()
    seen.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(place, optimize=True)
    print(f"{place.name}: {seen.width} × {seen.height}, {place.stat().st_size:,} bytes")
    if place.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{place} is larger than {MOST_BYTES:,} bytes")


def main() -> None:
    """Run a night and take all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        place = Path(folder)
        with servers(place) as up:
            addresses = {"PREFECT_API_URL": up["prefect_url"], "MLFLOW_TRACKING_URI": up["mlflow_url"]}
            mfcore(place, *NIGHT, **addresses)
            prefect, mlflow = up["prefect_url"], up["mlflow_url"]
            runs = httpx.post(f"{prefect}/flow_runs/filter", json={}, timeout=30).raise_for_status().json()
            whole = next(run for run in runs if run["parent_task_run_id"] is None and run["state_type"] == "COMPLETED")
            take(
                place / "1", f"{prefect.removesuffix('/api')}/runs/flow-run/{whole['id']}", "prefect.png",
                (1500, 1000), whole["name"],
            )  # fmt: skip
            experiment = httpx.get(
                f"{mlflow}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": "mfcore/ml-100k"}
            ).json()["experiment"]
            notes = next(tag["value"] for tag in experiment["tags"] if tag["key"] == "mlflow.note.content")
            compared = notes.split("](#")[1].partition(")")[0]
            # Without the assistant that MLflow opens at the right.
            take(place / "2", f"{mlflow}/#{compared}", "mlflow.png", (1700, 1100), "test_rmse", (0, 0, 1262, 957))
            page = next((place / "home").rglob("data.html"))
            take(place / "3", page.as_uri(), "data.png", (1200, 1300), "ratings")
            person = place / "exports" / "ml-100k" / "report" / "user-4.html"
            take(place / "4", person.as_uri(), "report.png", (1280, 1000), "Held-out likes")


if __name__ == "__main__":
    sys.exit(main())
