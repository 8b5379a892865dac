"""Stores that are not there, locked, full, read-only, half-made or of an older MLflow."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from sqlalchemy import create_engine

from mfcore.data.ratings import Ratings
from mfcore.data.synthetic import synthesize
from mfcore.errors import MfcoreError, SourceUnavailable, UsageError
from mfcore.models import BiasOnly
from mfcore.models.model import Model
from mfcore.settings import Settings, database_of, sqlite_uri
from mfcore.tracking import database, store
from mfcore.tracking.database import migrate_database
from mfcore.tracking.models import log_model
from mfcore.tracking.registry import Registry
from mfcore.tracking.runs import Experiment
from mfcore.tracking.store import prepare_store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an experiment in it; to be copied."""
    path = tmp_path_factory.mktemp("made") / "mlflow.db"
    Experiment(settings_of(path), "films")
    return path


def settings_of(path: Path) -> Settings:
    return Settings.read({"MLFLOW_TRACKING_URI": sqlite_uri(path)})


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def in_child(what: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", what, *arguments], stderr=subprocess.PIPE)


def test_importing_changes_no_environment() -> None:
    code = """
import os
before = dict(os.environ)
import mfcore.tracking
assert dict(os.environ) == before
import sys
assert "mlflow" not in sys.modules
mfcore.tracking.configure()
assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "99"
mfcore.tracking.configure()
assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("folder", ["plain", "why?", "100%41", "a#b", "two words & ö"])
def test_any_path_can_hold_the_default_database(
    made: Path, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / folder
    (home / "mlruns").mkdir(parents=True)
    monkeypatch.chdir(home)
    settings = Settings.read({})
    assert database_of(settings.tracking_uri) == home / "mlruns" / "mlflow.db"
    shutil.copy(made, home / "mlruns" / "mlflow.db")  # making one costs two seconds
    experiment = Experiment(settings, "other")
    with experiment.run("one") as run:
        experiment.log_dict(run, {"a": 1}, "a.json")
    with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    assert len(list((home / "mlruns" / "artifacts").rglob("a.json"))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {folder}
    assert {path.name for path in home.iterdir()} == {"mlruns"}


def test_killed_while_the_database_is_made(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    what = (
        "import sys; from pathlib import Path; from mfcore.tracking.database import *; make_database(Path(sys.argv[1]))"
    )
    child = in_child(what, str(path))
    new, deadline = tmp_path / ".mlflow.db.new", time.monotonic() + 60
    while not (new.exists() and new.stat().st_size > 100_000):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert new.exists() and not path.exists()  # killed in the middle
    prepare_store(sqlite_uri(path)).create_experiment("one")
    assert not new.exists()


@pytest.mark.slow
def test_a_full_disk_while_the_database_is_made_leaves_none(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    what = """
import resource, signal, sys
from mfcore.errors import MfcoreError
from mfcore.tracking.store import prepare_store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    prepare_store(sys.argv[1])
except MfcoreError as error:
    assert "\\n" not in str(error)
    sys.exit(str(error) if error.exit_code == 2 else 7)
"""
    child = in_child(what, sqlite_uri(path))
    _, errors = child.communicate()
    assert child.returncode == 1 and b"full" in errors.splitlines()[-1], errors
    assert not path.exists()


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """The database of an MLflow before the last migration, with an experiment."""
    import mlflow.store.tracking.dbmodels.initial_models as initial

    path = tmp_path / "older" / "mlflow.db"
    path.parent.mkdir()
    config = Config()
    config.set_main_option("script_location", str(Path(initial.__file__).parents[3] / "store" / "db_migrations"))
    config.set_main_option("sqlalchemy.url", sqlite_uri(path))
    head = ScriptDirectory.from_config(config).get_revision("head")
    engine = create_engine(sqlite_uri(path))
    initial.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, str(head.down_revision))
        now = int(time.time() * 1000)
        connection.exec_driver_sql(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
            f" last_update_time) VALUES (7, 'mfcore/kept', 'file:///kept', 'active', {now}, {now})"
        )
    engine.dispose()
    return path


@pytest.mark.slow
def test_an_older_database_is_migrated_or_left_as_it_was(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = revision(older)
    child = os.fork()
    if child == 0:
        copies, copy = [], database._copy

        def killing(source: Path, target: Path) -> None:
            copies.append(source)
            if len(copies) == 2:
                with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
                    old.backup(new, pages=20, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            copy(source, target)

        database._copy = killing
        migrate_database(older)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert revision(older) == before
    with monkeypatch.context() as patch:
        patch.setattr(database.sys, "executable", shutil.which("false"))
        with pytest.raises(UsageError, match="cannot migrate"):
            migrate_database(older)
    assert revision(older) == before

    client = prepare_store(sqlite_uri(older))
    assert revision(older) != before
    assert client.get_experiment("7").name == "mfcore/kept"
    assert client.create_run("7").info.status == "RUNNING"
    assert {path.name for path in older.parent.iterdir()} == {"mlflow.db", ".mlflow.db.lock"}


@pytest.mark.skipif(os.getuid() != 0, reason="gives up root's rights")
def test_a_read_only_registry_can_be_read_and_writing_is_one_line(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(made, path)
    client = prepare_store(sqlite_uri(path))
    client.create_registered_model("mfcore-films")
    client.create_model_version("mfcore-films", str(tmp_path), tags=VERSION_TAGS)
    Registry(settings_of(path), "films").promote(1)
    for one in (path, *path.parents):
        if one.is_relative_to(Path("/tmp")) and one != Path("/tmp"):
            one.chmod(0o555 if one.is_dir() else 0o444)
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setuid(65534)
            champion = Registry(settings_of(path), "films").require_champion()
            code |= 0 if champion.version == 1 else 1
            try:
                Registry(settings_of(path), "films").promote(1, "again")
                Registry(settings_of(path), "films").set_challenger(1)
                code |= 2
            except UsageError as error:
                code |= 0 if "\n" not in str(error) else 4
            try:
                Experiment(settings_of(path), "new")
                code |= 8
            except UsageError:
                pass
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            code |= 64
        sys.stderr.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


VERSION_TAGS = {"fingerprint": "f", "data": "d", "recipes": '{"rating": {"algorithm": "als"}}', "metrics": "{}"}


@pytest.mark.slow
def test_a_locked_database_is_one_line(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(made, path)
    experiment = Experiment(settings_of(path), "films")
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="locked by another process"):
            experiment.start("one")
        assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1", "postgresql://me:secret@127.0.0.1:1/mlflow", "http://nowhere.invalid:5000"]
)
def test_a_server_that_is_down_is_one_line_at_once(uri: str) -> None:
    started = time.monotonic()
    with pytest.raises(SourceUnavailable) as caught:
        prepare_store(uri)
    assert time.monotonic() - started < 15
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_PROBE_S", 0.2)
    says = pytest.raises(SourceUnavailable, match=r"does not answer \(timed out\)\. Start it")
    with socket.create_server(("127.0.0.1", 0)) as silent, says:
        prepare_store(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.slow
def test_a_server_that_is_silent_is_one_line_within_30_s() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="does not answer"):
            prepare_store(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 30


def test_what_is_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database at all " * 1000)
    for uri in (f"sqlite:///{tmp_path}/file", f"sqlite:///{tmp_path}/file/mlflow.db", "nonsense://x"):
        with pytest.raises(MfcoreError, match="cannot use the tracking store.*MLFLOW_TRACKING_URI") as caught:
            prepare_store(uri)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_a_server_that_goes_away_is_one_line(monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    """MLflow's own words for a request that failed, and a database's connection that broke."""
    from mlflow.exceptions import MlflowException

    client = prepare_store(sqlite_uri(made))
    broken = MlflowException("(psycopg2.OperationalError) server closed the connection", 503)
    broken.error_code = "TEMPORARILY_UNAVAILABLE"
    monkeypatch.setattr(MlflowClient, "get_run", lambda *_: (_ for _ in ()).throw(broken))
    with pytest.raises(SourceUnavailable, match="server closed the connection"):
        client.get_run("x")


def test_a_full_disk_while_a_model_is_logged_is_one_line(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(made, path)
    synthetic = synthesize(20, 10, 100)
    ratings = Ratings.from_frame(synthetic.frame, synthetic.scale)
    model = Model.of(BiasOnly().train(ratings), ratings, None)
    with Experiment(settings_of(path), "films").run("pipeline") as run:
        with closing(sqlite3.connect(path)) as connection:
            full = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            connection.execute(f"CREATE TRIGGER full BEFORE INSERT ON logged_models {full}")
        with pytest.raises(UsageError, match=r"^cannot use the tracking store .*: its disk is full .*Free some space"):
            log_model(model, run, "bias", {}, {})
