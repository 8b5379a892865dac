import os
import socket
import time
from importlib.util import find_spec

import numpy as np
import pytest

from mfcore.config import PipelineConfig, SparkConfig, TuningConfig
from mfcore.errors import SourceUnavailable, UsageError
from mfcore.models import spark
from mfcore.tuning import search_spaces

NOTHING = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32), (0, 0)


def test_without_spark_or_java_it_is_said_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TuningConfig(rating="als-spark")
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install mfcore\[spark\]"):
        search_spaces(config)
    with pytest.raises(UsageError, match=r"pip install mfcore\[spark\]"):
        spark.factorize(*NOTHING, rank=1)
    monkeypatch.setattr(spark, "find_spec", lambda name: find_spec("numpy"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UsageError, match="install Java 17"):
        search_spaces(config)
    search_spaces(TuningConfig())


def test_a_master_that_does_not_answer_is_given_up_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    for master in (f"spark://127.0.0.1:{port}", f"spark://127.0.0.1:{port},127.0.0.1:{port}", "spark://nothing"):
        with pytest.raises(SourceUnavailable, match=f"master {master} does not answer"):
            spark._reach(master)
    assert time.monotonic() - started < 30
    with socket.create_server(("127.0.0.1", 0)) as server:
        spark._reach(f"spark://127.0.0.1:{port},127.0.0.1:{server.getsockname()[1]}")


def test_settings_of_a_run_are_there_for_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MFCORE_SPARK", "")
    config = SparkConfig(master="yarn", settings={"spark.executor.memory": "2g"})
    spark.use_spark(config)
    assert SparkConfig.model_validate_json(os.environ["MFCORE_SPARK"]) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("spark.settings={memory='2g'}", "'memory' is no setting of Spark's"),
        ("lists.diversity=0.3", "lists.diversity is for lists made on this machine"),
    ],
)
def test_what_spark_cannot_do_is_refused(override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PipelineConfig.load(overrides=["export.engine=spark", override])
