"""Everything elsewhere: MLflow behind a server on PostgreSQL; data, artifacts and exports in an object store."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flows.servers.databases import start_postgresql
from mfcore import load_export
from mfcore.data.synthetic import synthesize
from mfcore.storage.bucket import Bucket
from tests.flows.conftest import BIN, free_port, stop, wait_for
from tests.flows.project import OURS
from tests.object_store import BUCKET, object_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR"),  # what carries PostgreSQL looks for it
]


class Machine:
    """A folder of its own, and the command as somebody calls it there."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        place.mkdir()
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        self.place, self.environment = place, {**kept, "HOME": str(place), **environment}

    def __call__(self, *arguments: object, code: int = 0) -> Any:
        command = [str(BIN / "mfcore"), *map(str, arguments), "--json"]
        done = subprocess.run(
            command, cwd=self.place, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)


def test_the_same_result_as_the_local_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = synthesize(120, 60, 3000).frame.to_csv(index=False)
    (tmp_path / "ratings.csv").write_text(ratings)
    options = ("--trials", 2, "--algorithms", "als", "--set", "dataset.name=mine", "--source")
    here = Machine(tmp_path / "here", {})
    expected = here("run", *options, tmp_path / "ratings.csv")

    postgresql, database = start_postgresql(tmp_path / "postgresql")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--workers", "1"]
    command += ["--artifacts-destination", f"s3://{BUCKET}/mlflow", "--host", "127.0.0.1", "--port", str(port)]
    with object_store(tmp_path, free_port()) as (store, process), (tmp_path / "mlflow.log").open("wb") as log:
        for name, value in store.items():
            monkeypatch.setenv(name, value)
        settings = {
            "MLFLOW_BACKEND_STORE_URI": database,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        server = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, **settings}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            tracking = f"http://127.0.0.1:{port}"
            wait_for(f"{tracking}/health", server)
            Bucket(f"s3://{BUCKET}/data").write("ratings.csv", ratings)
            exports = f"s3://{BUCKET}/exports"
            elsewhere = {**store, "MLFLOW_TRACKING_URI": tracking, "MFCORE_EXPORTS": exports}
            there = Machine(tmp_path / "there", elsewhere)
            found = there("run", *options, f"s3://{BUCKET}/data/ratings.csv")

            for key in ("dataset", "champion", "version", "algorithm", "heads", "metrics"):
                assert found[key] == expected[key], key
            assert found["export_url"].startswith(f"{exports}/mine/1-")
            for head in ("rating", "ranking"):
                one, other = (load_export(place, head) for place in (f"{exports}/mine/latest", expected["export_path"]))
                assert (one.user_factors == other.user_factors).all() and (one.item_bias == other.item_bias).all()
            assert there("export", "--verify")["path"] == f"{exports}/mine/latest"
            assert there("ui")["url"].startswith(f"{tracking}/#/experiments/")
            artifacts = Bucket(f"s3://{BUCKET}/mlflow").checksums()
            assert any("/models/" in name for name in artifacts) and any(name.endswith(".png") for name in artifacts)

            # Another machine, with nothing of its own, serves the same champion from the registry.
            other = Machine(tmp_path / "other", elsewhere)
            user = str(load_export(f"{exports}/mine/latest").user_ids[0])
            assert other("recommend", user) == there("recommend", user) == here("recommend", user)
            (finding,) = [one for one in other("status", "-d", "mine") if one["what"] == "mine, export"]
            assert finding["status"] == "ok" and "version 1" in finding["found"]
            again = there("run", *options, f"s3://{BUCKET}/data/ratings.csv")
            assert {one["status"] for one in again["stages"].values()} == {"reused"}
            assert len(Bucket(f"{exports}/mine").names()) == 2

            process.send_signal(signal.SIGKILL)
            began = time.monotonic()
            refused = there("download", *options[4:], f"s3://{BUCKET}/data/ratings.csv", code=4)
            assert f"cannot use s3://{BUCKET}/data/ratings.csv" in refused["error"]
            refused = there("export", "--verify", "-d", "mine", code=4)
            assert f"cannot use s3://{BUCKET}/exports/mine" in refused["error"]
            refused = there("export", "-d", "mine", code=4)
            assert "\n" not in refused["error"]
            assert time.monotonic() - began < 90  # three commands, two of them with a server of Prefect's
            written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "store.log"]
            assert not [path for path in written if store["AWS_SECRET_ACCESS_KEY"].encode() in path.read_bytes()]
        finally:
            stop(server)
            postgresql.stop()
