"""A real Spark master on loopback."""

import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.spark_cluster import spark_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("pyspark") is None, reason="Spark is not installed"),
]

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}


def ended(command: list[str], place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """How a command ends that has a folder, and so a session of Spark, of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MFCORE_", "MLFLOW_"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {**kept, "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1", **environment}
    done = subprocess.run(command, cwd=place, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done


WAITED = """
    import json, sys
    import numpy as np
    from mfcore.config import SparkConfig
    from mfcore.errors import SourceUnavailable
    from mfcore.models import spark

    spark.use_spark(SparkConfig(master=sys.argv[1], wait=5, settings=json.loads(sys.argv[2])))
    codes = np.arange(3, dtype=np.int32)
    try:
        spark.factorize(codes, codes, np.ones(3, np.float32), (3, 3), rank=1)
    except SourceUnavailable as error:
        print(error)
"""


def test_a_cluster_without_free_workers_is_given_up_in_time(tmp_path: Path) -> None:
    with spark_cluster(tmp_path, 0) as master:
        command = [sys.executable, "-c", textwrap.dedent(WAITED), master, json.dumps(SETTINGS)]
        said = ended(command, tmp_path).stdout
    assert said.startswith(f"Spark at {master} had no executor for the run within 5 s: ")
    assert len(said.splitlines()) == 1


BOTH = """
    import json, sys
    from pathlib import Path
    import numpy as np
    from mfcore.config import SparkConfig
    from mfcore.data.ratings import Ratings
    from mfcore.data.synthetic import synthesize
    from mfcore.models import ALS, ALSSpark
    from mfcore.models import spark
    from mfcore.models.lists import top_items
    from mfcore.models.rated import RatedItems

    spark._USERS = spark._ITEMS = 32  # several blocks, for both workers to have some
    spark.use_spark(SparkConfig(master=sys.argv[1], folder=Path("shared"), settings=json.loads(sys.argv[2])))
    made = synthesize(120, 80, 3600)
    ratings = Ratings.from_frame(made.frame, made.scale)
    learned = ALSSpark(n_factors=4, max_iter=5, n_blocks=2).train(ratings)
    factors, rated = ALS(n_factors=4).train(ratings), RatedItems.of(ratings)
    users, allowed = np.arange(ratings.n_users, dtype=np.int32), np.arange(ratings.n_items) % 5 > 0
    same = np.array_equal(spark.best_items(factors, 5, rated, allowed), top_items(factors, users, 5, rated, allowed)[0])
    print(json.dumps([learned.predict(ratings.users, ratings.items).tolist(), bool(same)]))
"""


def test_two_workers_train_and_rank_as_one_process_does(tmp_path: Path) -> None:
    program = [sys.executable, "-c", textwrap.dedent(BOTH)]
    with spark_cluster(tmp_path, 2) as master:
        predicted, is_same = json.loads(ended([*program, master, json.dumps(SETTINGS)], tmp_path).stdout)
        # Either worker had an executor, which has left its log.
        assert len(list(tmp_path.glob("worker-*/app-*/*/stdout"))) == 2
    assert not list((tmp_path / "shared").iterdir())
    alone, _ = json.loads(ended([*program, "local[2]", json.dumps(SETTINGS)], tmp_path).stdout)
    assert is_same
    assert predicted == pytest.approx(alone, abs=1e-3)


def test_spark_submit_runs_the_chain_on_a_cluster(tmp_path: Path) -> None:
    spec = find_spec("pyspark")
    assert spec is not None and spec.origin is not None
    submit = [str(Path(spec.origin).parent / "bin" / "spark-submit")]
    shared = f"spark.folder={tmp_path / 'shared'}"
    chain = (
        *("run", "--json", "--dataset", "synthetic:users=120,items=60,ratings=3000", "--trials", "2"),
        *("--set", "tuning.rating=als-spark", "--set", "tuning.ranking=als-spark", "--set", "export.engine=spark"),
        *("--set", "export.n_reasons=0", "--set", shared),
    )
    with spark_cluster(tmp_path, 2) as master:
        settings = [part for key, value in SETTINGS.items() for part in ("--conf", f"{key}={value}")]
        command = [*submit, "--master", master, *settings, str(ROOT / "deployment" / "spark.py"), *chain]
        done = ended(command, tmp_path, HOME=str(tmp_path), PYSPARK_PYTHON=sys.executable)
    # What Python says on either stream, spark-submit says on its stdout.
    said = f"\n{done.stdout}"
    document = json.loads(said[said.index("\n{\n") : said.index("\n}\n") + 3])
    assert document["heads"]["rating"]["algorithm"] == "als-spark"
    lists = pd.read_parquet(Path(document["export_path"]) / "recommendations.parquet")
    assert lists["user_id"].nunique() == 120
