"""Spark: the only module that knows it. Ratings and factors go there and come back as Parquet files.

What is trained, and how lists are made, is said by `mfcore.models.als_spark` and `mfcore.models.lists`.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mfcore.config import SparkConfig
from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.health import silence_at
from mfcore.models.factors import Factors
from mfcore.models.lists import top_k
from mfcore.models.rated import RatedItems
from mfcore.storage.files import scratch_folder

__all__ = ["best_items", "factorize", "require_spark", "use_spark"]

_SETTINGS = "MFCORE_SPARK"
"""The variable of the environment that hands a run's settings of Spark to its workers."""
_QUIET = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""Without them a driver on this machine alone needs a network, and a name that resolves."""
_ANSWER_S, _AGAIN_S = 10, 1
_ROWS = 1 << 20
"""Ratings in a row group: what a task of Spark's reads at once."""
_USERS, _ITEMS = 2048, 4096
"""Users and items in a block of lists; their scores take 32 MB."""
_PAIRS_AT_ONCE = 8
"""Pairs of blocks that a worker of Spark's is handed together."""


def use_spark(config: SparkConfig) -> None:
    """Have this process, and workers that it starts, work on the Spark that `config` names."""
    os.environ[_SETTINGS] = config.model_dump_json()


def require_spark() -> None:
    """Refuse to go on without Spark.

    Raises:
        UsageError: pyspark or Java is not installed.
    """
    if find_spec("pyspark") is None:
        raise UsageError("Spark is not installed: run `pip install mfcore[spark]`.")
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        raise UsageError("Spark needs Java, and there is none: install Java 17 or later, or set JAVA_HOME.")


def factorize(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    values: NDArray[np.float32],
    shape: tuple[int, int],
    **params: Any,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factorize with MLlib's ALS.

    Args:
        users: codes.
        items: codes.
        values: of these pairs.
        shape: number of users and of items.
        params: of `pyspark.ml.recommendation.ALS`.

    Returns:
        Factors of users, (n_users, rank), and of items; zeros for those that have no values.

    Raises:
        UsageError: pyspark or Java is not installed.
        SourceUnavailable: Spark can't be reached, or fails.
    """
    with _session() as (spark, folder):
        from pyspark.ml.recommendation import ALS

        pq.write_table(
            pa.table({"user": users, "item": items, "value": values}), folder / "ratings.parquet", row_group_size=_ROWS
        )
        # Without it the plan grows with each iteration, until it overflows the stack.
        spark.sparkContext.setCheckpointDir((folder / "checkpoints").as_uri())
        ratings = spark.read.parquet((folder / "ratings.parquet").as_uri())
        model = ALS(userCol="user", itemCol="item", ratingCol="value", coldStartStrategy="drop", **params).fit(ratings)
        sides = []
        for name, learned, n in (("users", model.userFactors, shape[0]), ("items", model.itemFactors, shape[1])):
            learned.write.parquet((folder / name).as_uri())
            table = pq.read_table(folder / name)
            rows = np.zeros((n, params["rank"]), np.float32)
            of_each = table["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows[table["id"].to_numpy()] = of_each.reshape(-1, params["rank"])
            sides.append(rows)
    return sides[0], sides[1]


def best_items(factors: Factors, k: int, rated: RatedItems, allowed: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The lists that `top_items` makes for all users, made by a join of blocks of users with blocks of items.

    Each pair of blocks gives its best `k` items for each of its users, and those of a block of users are merged.
    Python on Spark's machines needs mfcore.

    Args:
        factors: the model.
        k: length of a list.
        rated: what to leave out for each user.
        allowed: (n_items,); whether an item may be listed at all.

    Returns:
        Item codes int32 (n_users, k), best first and −1 where items run out.

    Raises:
        UsageError: pyspark or Java is not installed.
        SourceUnavailable: Spark can't be reached, or fails.
    """
    n_users = len(factors.user_ids)
    lists = np.full((n_users, k), -1, np.int32)
    with _session() as (spark, folder):
        pq.write_table(_user_blocks(factors, rated), folder / "users.parquet")
        pq.write_table(_item_blocks(factors, allowed), folder / "items.parquet")
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_PAIRS_AT_ONCE))
        users = spark.read.parquet((folder / "users.parquet").as_uri()).repartition(
            max(1, -(-n_users // _USERS)), "user"
        )
        items = spark.read.parquet((folder / "items.parquet").as_uri())
        best = users.crossJoin(items).mapInArrow(
            lambda batches: _best_of_pairs(batches, k), "user int, item int, codes binary, scores binary"
        )
        merged = best.groupBy("user").applyInArrow(lambda table: _merged(table, k), "user int, codes binary")
        merged.write.parquet((folder / "lists").as_uri())
        table = pq.read_table(folder / "lists")
        for block, codes in zip(table["user"].to_pylist(), table["codes"].to_pylist(), strict=True):
            lists[block * _USERS : (block + 1) * _USERS] = _read(codes, np.int32, k)
    return lists


def _user_blocks(factors: Factors, rated: RatedItems) -> pa.Table:
    """A row for each block of users: number, factors, what is the same in all scores of a user, and what they rated."""
    rows: list[dict[str, Any]] = []
    for first in range(0, len(factors.user_ids), _USERS):
        codes = np.arange(first, min(first + _USERS, len(factors.user_ids)), dtype=np.int32)
        starts, items = rated.rows(codes)
        base = np.float32(factors.global_mean) + factors.user_bias[codes]
        arrays = {"x": factors.user_factors[codes], "base": base, "starts": starts, "rated": items}
        rows.append({"user": first // _USERS, **{name: array.tobytes() for name, array in arrays.items()}})
    return _table(rows, ("user",), ("x", "base", "starts", "rated"))


def _item_blocks(factors: Factors, allowed: NDArray[np.bool_]) -> pa.Table:
    """A row for each block of items: its first code, factors and biases, −inf for items that are not to be listed."""
    bias = np.where(allowed, factors.item_bias, np.float32(-np.inf))
    parts = [(first, slice(first, first + _ITEMS)) for first in range(0, len(bias), _ITEMS)]
    rows = [
        {"item": first, "y": factors.item_factors[part].tobytes(), "bias": bias[part].tobytes()}
        for first, part in parts
    ]
    return _table(rows, ("item",), ("y", "bias"))


def _table(rows: list[dict[str, Any]], numbers: tuple[str, ...], arrays: tuple[str, ...]) -> pa.Table:
    fields = [*((name, pa.int32()) for name in numbers), *((name, pa.binary()) for name in arrays)]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _best_of_pairs(batches: Iterator[pa.RecordBatch], k: int) -> Iterator[pa.RecordBatch]:
    """The `k` best items of a block for each user of a block, for pairs of blocks; a worker of Spark's runs it."""
    for batch in batches:
        best_of = []
        for row in batch.to_pylist():
            bias, base = _read(row["bias"], np.float32), _read(row["base"], np.float32)
            x, y = (_read(row[name], np.float32).reshape(n, -1) for name, n in (("x", len(base)), ("y", len(bias))))
            scores = x @ y.T
            scores += bias
            scores += base[:, None]
            first = row["item"]
            own = _read(row["rated"], np.int32) - first
            here = (own >= 0) & (own < len(bias))
            starts = np.append(0, np.cumsum(here))[_read(row["starts"], np.int64)]
            codes, best = top_k(scores, starts, own[here], k)
            codes = np.where(codes >= 0, codes + first, -1).astype(np.int32)
            pair = {"user": row["user"], "item": row["item"]}
            best_of.append({**pair, "codes": codes.tobytes(), "scores": best.tobytes()})
        yield from _table(best_of, ("user", "item"), ("codes", "scores")).to_batches()


def _merged(table: pa.Table, k: int) -> pa.Table:
    """The `k` best items of all blocks for each user of one block; a worker of Spark's runs it."""
    table = table.sort_by("item")  # of equal scores the lower code comes first
    columns = {
        name: np.concatenate([_read(content, dtype, k) for content in table[name].to_pylist()], axis=1)
        for name, dtype in (("codes", np.int32), ("scores", np.float32))
    }
    order = np.argsort(-columns["scores"], axis=1, kind="stable")[:, :k]
    codes = np.take_along_axis(columns["codes"], order, axis=1)
    return _table([{"user": table["user"][0].as_py(), "codes": codes.tobytes()}], ("user",), ("codes",))


def _read(content: bytes, dtype: Any, width: int | None = None) -> NDArray[Any]:
    array = np.frombuffer(content, dtype)
    return array if width is None else array.reshape(-1, width)


@contextmanager
def _session() -> Iterator[tuple[Any, Path]]:
    """This process's session, and a new folder that all of Spark's machines see.

    Raises:
        UsageError: pyspark or Java is not installed.
        SourceUnavailable: Spark can't be reached, has nothing free to run on, or fails in the block.
    """
    require_spark()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    said = os.environ.get(_SETTINGS)
    config = SparkConfig.model_validate_json(said) if said else SparkConfig()
    _reach(config.master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("mfcore")
    if config.master is not None:
        builder = builder.master(config.master)
    is_local = (config.master or "local").startswith("local") and "PYSPARK_GATEWAY_PORT" not in os.environ
    for key, value in {**_QUIET, **(_LOCAL if is_local else {}), **config.settings}.items():
        builder = builder.config(key, value)
    with scratch_folder(config.folder or Path(tempfile.gettempdir()) / "mfcore-spark") as folder:
        try:
            spark = _made(builder)
            spark.sparkContext.setLogLevel("ERROR")
            _await_executor(spark, config)
            yield spark, folder.absolute()
        except (Py4JError, PySparkException) as error:
            raise SourceUnavailable(f"Spark at {config.master or 'local[*]'} failed: {_reason(error)}.") from error


def _made(builder: Any) -> Any:
    """The session; what Ctrl-C does stays as it was, which PySpark changes."""
    if threading.current_thread() is not threading.main_thread():
        return builder.getOrCreate()
    before = signal.getsignal(signal.SIGINT)
    try:
        return builder.getOrCreate()
    finally:
        signal.signal(signal.SIGINT, before)


def _reach(master: str | None) -> None:
    """Find out in seconds what Spark itself takes a minute for: that none of the masters answers."""
    if master is None or not master.startswith("spark://"):
        return
    silence: str | None = ""
    for place in master.removeprefix("spark://").split(","):
        silence = silence_at(place, _ANSWER_S)
        if silence is None:
            return
    raise SourceUnavailable(f"Spark's master {master} does not answer: {silence}. Start it, or set spark.master.")


def _await_executor(spark: Any, config: SparkConfig) -> None:
    """Wait for something to run on; Spark by itself waits for ever where all workers are taken.

    Raises:
        SourceUnavailable: there is none within `config.wait`.
    """
    from py4j.protocol import Py4JError

    over, late = threading.Event(), threading.Event()

    def give_up() -> None:
        if over.wait(config.wait):
            return
        late.set()
        spark.sparkContext.cancelAllJobs()
        while not over.wait(_AGAIN_S):  # the job may have been on its way to Spark
            spark.sparkContext.cancelAllJobs()

    watch = threading.Thread(target=give_up, daemon=True)
    watch.start()
    try:
        spark.range(1).count()
    except Py4JError as error:
        if not late.is_set():
            raise
        raise SourceUnavailable(
            f"Spark at {config.master or spark.sparkContext.master} had no executor for the run within "
            f"{config.wait:g} s: are its workers busy, or too small for spark.executor.memory and "
            "spark.executor.cores? Its own page tells. spark.wait says how long to wait."
        ) from error
    finally:
        over.set()
        watch.join()


def _reason(error: Exception) -> str:
    """The first line that says what went wrong: of an error in Java, that of its cause."""
    java = getattr(error, "java_exception", None)
    return first_line(java.toString() if java is not None else error)
