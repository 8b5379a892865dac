"""An S3-compatible store on loopback, in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mfcore.health import silence_of

BUCKET = "shop"


@contextmanager
def object_store(folder: Path, port: int) -> Iterator[tuple[dict[str, str], "subprocess.Popen[bytes]"]]:
    """The environment that points clients to a store with one empty bucket, and its process."""
    url = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "very-secret-indeed",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
    }
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        deadline = time.monotonic() + 60
        while silence_of(url, 1) is not None:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "store.log").read_text()
            time.sleep(0.1)
        import boto3

        credentials = {name.lower(): environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        boto3.client("s3", endpoint_url=url, region_name="us-east-1", **credentials).create_bucket(Bucket=BUCKET)
        yield environment, process
    finally:
        process.kill()
        process.wait()
