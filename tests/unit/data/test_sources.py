import hashlib
import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from mfcore.config import DatasetConfig
from mfcore.data import downloads
from mfcore.data.catalog import Dataset, Local, Web, Wheel, resolve
from mfcore.data.readers import read
from mfcore.data.sources import fetch, identity
from mfcore.errors import SourceUnavailable

DATA = b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped({"ml-100k/u.data": DATA, "ml-100k/tags.csv": b"unwanted"})
MD5 = "md5:" + hashlib.md5(ARCHIVE).hexdigest()


class Server:
    """A file server on loopback that can misbehave: `faults` are taken one a request."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.faults: list[str | int] = []
        self.requests: list[str | None] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                owner.requests.append(asked)
                fault = owner.faults.pop(0) if owner.faults else None
                if isinstance(fault, int):
                    self.send_error(fault)
                    return
                start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and fault != "no ranges" else 0
                if start >= len(owner.content):
                    self.send_error(416)
                    return
                body = owner.content[start:]
                self.send_response(206 if asked and fault != "no ranges" else 200)
                if asked and fault != "no ranges":
                    self.send_header("Content-Range", f"bytes {start}-{len(owner.content) - 1}/{len(owner.content)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
                if fault == "cut":
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ml-100k.zip"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(ARCHIVE)
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


def dataset(*sources: object, **more: object) -> Dataset:
    return Dataset("ml-100k", "MovieLens 100K", tuple(sources), homepage="https://example.org/", **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_archive_is_fetched_verified_unpacked_and_kept(server, folder, tmp_path):
    details = fetch(dataset(Web(server.url, MD5)), folder, tmp_path / "downloads")
    assert (folder / "u.data").read_bytes() == DATA
    assert details["files"] == names(folder) == ["u.data"]
    assert details["source"] == server.url
    assert details["format"] == "ml-100k"
    assert (tmp_path / "downloads" / "ml-100k.zip").read_bytes() == ARCHIVE
    tables = read(folder, details, DatasetConfig())
    assert len(tables.ratings) == 2


def test_what_was_downloaded_before_needs_no_network(server, folder, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "ml-100k.zip").write_bytes(ARCHIVE)
    details = fetch(dataset(Web(server.url, MD5)), folder, tmp_path / "downloads")
    assert server.requests == []
    assert details["source"] == str(tmp_path / "downloads" / "ml-100k.zip")


def test_a_cut_connection_is_continued_where_it_ended(server, tmp_path):
    server.faults = ["cut", "cut"]
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    half = len(ARCHIVE) // 2
    assert server.requests == [None, f"bytes={half}-", f"bytes={half + (len(ARCHIVE) - half) // 2}-"]
    assert names(tmp_path) == ["x.zip"]


def test_a_later_call_continues_what_an_earlier_one_left(server, tmp_path):
    server.faults = ["cut"] * 20
    with pytest.raises(SourceUnavailable, match="peer closed connection"):
        downloads.download(server.url, tmp_path / "x.zip", MD5)
    server.faults = []
    server.requests.clear()
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    assert len(server.requests) == 1
    assert server.requests[0] is not None
    assert (tmp_path / "x.zip").read_bytes() == ARCHIVE


def test_a_server_without_ranges_is_asked_for_the_whole(server, tmp_path):
    server.faults = ["cut", "no ranges"]
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    assert (tmp_path / "x.zip").read_bytes() == ARCHIVE


def test_a_rest_that_is_no_beginning_is_thrown_away(server, tmp_path):
    (tmp_path / ".x.zip.part").write_bytes(b"x" * (len(ARCHIVE) + 5))
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    assert (tmp_path / "x.zip").read_bytes() == ARCHIVE


def test_a_beginning_of_another_edition_is_not_gone_on_with(server, tmp_path):
    (tmp_path / ".x.zip.part").write_bytes(b"x" * 20)
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    assert server.requests == ["bytes=20-", None]
    assert (tmp_path / "x.zip").read_bytes() == ARCHIVE


def test_a_server_in_trouble_is_asked_again_and_one_that_refuses_is_not(server, tmp_path):
    server.faults = [503, 500, 429]
    downloads.download(server.url, tmp_path / "x.zip", MD5)
    assert len(server.requests) == 4
    server.requests.clear()
    server.faults = [404]
    with pytest.raises(SourceUnavailable, match="answered 404"):
        downloads.download(server.url, tmp_path / "y.zip", MD5)
    assert len(server.requests) == 1


def test_two_processes_downloading_at_once_end_with_one_good_file(server, tmp_path):
    script = (
        "import sys; from pathlib import Path; from mfcore.data.catalog import Dataset, Web; "
        "from mfcore.data.sources import fetch; root = Path(sys.argv[1]); raw = Path(sys.argv[2]); raw.mkdir(); "
        "fetch(Dataset('ml-100k', 'ML', (Web(sys.argv[3], sys.argv[4]),)), raw, root / 'downloads')"
    )
    commands = [
        [sys.executable, "-c", script, str(tmp_path), str(tmp_path / f"raw-{number}"), server.url, MD5]
        for number in range(2)
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for command in commands]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert (tmp_path / "raw-0" / "u.data").read_bytes() == (tmp_path / "raw-1" / "u.data").read_bytes() == DATA
    assert (tmp_path / "downloads" / "ml-100k.zip").read_bytes() == ARCHIVE
    assert len(server.requests) == 1
    assert not list((tmp_path / "downloads").glob(".*.part"))


def test_an_archive_that_is_remade_is_checked_by_the_sum_beside_it(server, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("mfcore.data.sources.published_md5", lambda url: f"md5:{'0' * 32}")
    with pytest.raises(SourceUnavailable, match="refused, its md5 is"):
        fetch(dataset(Web(server.url, None)), folder, tmp_path / "downloads")
    monkeypatch.setattr("mfcore.data.sources.published_md5", lambda url: MD5)
    assert fetch(dataset(Web(server.url, None)), folder, tmp_path / "downloads")["files"] == ["u.data"]


def test_the_published_sum_is_read_and_missing_without_harm(server):
    server.content = f"MD5 (ml-latest.zip) = {'AB' * 16}\n".encode()
    assert downloads.published_md5(server.url) == f"md5:{'ab' * 16}"
    server.faults = [404]
    assert downloads.published_md5(server.url) is None


def test_what_belongs_to_it_is_fetched_too_and_done_without_where_it_cannot_be(server, folder, tmp_path, caplog):
    other = Server(zipped({"jokes/init1.html": b"<!--begin of joke -->Ha<!--end of joke -->"}))
    extra = Web(other.url.replace("ml-100k", "jokes"), "md5:" + hashlib.md5(other.content).hexdigest())
    try:
        details = fetch(dataset(Web(server.url, MD5), extras=(extra,)), folder, tmp_path / "downloads")
        assert details["files"] == ["init1.html", "u.data"]
        for path in folder.iterdir():
            path.unlink()
        (tmp_path / "downloads" / "jokes.zip").unlink()
        other.faults = [404, 404]
        details = fetch(dataset(Web(server.url, MD5), extras=(extra,)), folder, tmp_path / "downloads")
        assert details["files"] == ["u.data"]
        assert "answered 404; going on without it" in caplog.text
    finally:
        other.server.shutdown()
        other.server.server_close()


def test_altered_bytes_are_refused_named_and_not_kept(server, folder, tmp_path):
    server.content = zipped({"ml-100k/u.data": DATA + b"1\t1\t1\t1\n"})
    with pytest.raises(SourceUnavailable) as raised:
        fetch(dataset(Web(server.url, MD5)), folder, tmp_path / "downloads")
    found = hashlib.md5(server.content).hexdigest()
    assert f"{server.url}: refused, its md5 is {found} instead of" in str(raised.value)
    assert raised.value.exit_code == 4
    assert names(folder) == []
    assert all(name.endswith(".lock") for name in names(tmp_path / "downloads"))


def test_a_wrong_file_put_there_by_hand_is_refused_and_the_next_source_delivers(server, folder, tmp_path, caplog):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "ml-100k.zip").write_bytes(b"something else")
    details = fetch(dataset(Web(server.url, MD5)), folder, tmp_path / "downloads")
    assert details["source"] == server.url
    assert "ml-100k.zip: refused, its md5 is" in caplog.text


def test_raw_files_are_verified_whatever_delivered_them(server, folder, tmp_path):
    with pytest.raises(SourceUnavailable, match=r"u.data of .* refused, its sha256 is"):
        fetch(dataset(Web(server.url, MD5), checksums={"u.data": "0" * 64}), folder, tmp_path / "downloads")
    assert names(folder) == []


def test_without_any_network_the_message_says_what_was_tried_and_what_to_do(folder, tmp_path, monkeypatch):
    class Done:
        stderr = "ERROR: Could not find a version that satisfies the requirement recbole==1.2.1\n"

    monkeypatch.setattr(subprocess, "run", lambda *args, **more: Done)
    unreachable = Web("http://127.0.0.1:9/ml-100k.zip", MD5)
    with pytest.raises(SourceUnavailable) as raised:
        fetch(dataset(unreachable, Wheel("recbole==1.2.1", {"a": "0"})), folder, tmp_path / "downloads")
    message = str(raised.value)
    assert "127.0.0.1:9/ml-100k.zip: " in message
    assert "refused" in message
    assert "package recbole==1.2.1: ERROR: Could not find" in message
    assert f"Get ml-100k.zip (https://example.org/) and put it into {tmp_path / 'downloads'}" in message
    assert names(folder) == []


def test_a_package_delivers_its_members_and_only_the_right_ones(folder, tmp_path, monkeypatch):
    content = b"user_id:token\titem_id:token\trating:float\n1\t2\t3\n"
    member = "recbole/data/x.inter"

    def pip(command: list[str], **more: object) -> object:
        assert command[0] == sys.executable
        assert "--no-deps" in command
        target = Path(command[command.index("--dest") + 1]) / "recbole-1.2.1-py3-none-any.whl"
        target.write_bytes(zipped({member: content, "recbole/__init__.py": b"", "other/__init__.py": b""}))
        return None

    monkeypatch.setattr(subprocess, "run", pip)
    wheel = Wheel("recbole==1.2.1", {member: hashlib.sha256(content).hexdigest()})
    details = fetch(dataset(wheel), folder, tmp_path / "downloads")
    assert details["source"] == "package recbole==1.2.1"
    assert names(folder) == ["x.inter"]
    monkeypatch.setattr(subprocess, "run", None)
    (folder / "x.inter").unlink()
    assert "recbole-1.2.1" in fetch(dataset(wheel), folder, tmp_path / "downloads")["source"]
    (folder / "x.inter").unlink()
    with pytest.raises(SourceUnavailable, match=r"x.inter of recbole-1.2.1.* refused, its sha256 is"):
        monkeypatch.setattr(subprocess, "run", pip)
        fetch(dataset(replace(wheel, members={member: "0" * 64})), folder, tmp_path / "downloads")


def test_identity_follows_the_bytes_and_not_the_name(tmp_path):
    first, second, third = (tmp_path / name for name in ("a.csv", "b/a.csv", "c/a.csv"))
    for path, content in ((first, "x"), (second, "x"), (third, "y")):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    one, same, other = (identity(dataset(Local(path))) for path in (first, second, third))
    assert one == same != other


def test_identity_of_synthetic_ratings_is_their_specification():
    names = ["synthetic:users=50,items=40,ratings=900", "synthetic:users=50,items=40,ratings=900,seed=1"]
    one, other = (identity(resolve(DatasetConfig(name=name))) for name in names)
    assert one != other


def test_synthetic_ratings_are_written_and_read_like_any_others(folder, tmp_path):
    config = DatasetConfig(name="synthetic:users=50,items=40,ratings=900")
    details = fetch(resolve(config), folder, tmp_path / "downloads")
    tables = read(folder, details, config)
    assert len(tables.ratings) == 900
    assert tables.scale.maximum == 5


def test_a_local_folder_or_archive_is_taken_as_it_is(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "u.data").write_bytes(DATA)
    (tmp_path / "mine" / ".hidden").write_bytes(b"x")
    details = fetch(dataset(Local(tmp_path / "mine")), folder, tmp_path / "downloads")
    assert details["files"] == ["u.data"]
    (folder / "u.data").unlink()
    (tmp_path / "outer").mkdir()
    (tmp_path / "mine").rename(tmp_path / "outer" / "ml-100k")
    assert fetch(dataset(Local(tmp_path / "outer")), folder, tmp_path / "downloads")["files"] == ["u.data"]
    (folder / "u.data").unlink()
    (tmp_path / "mine.zip").write_bytes(ARCHIVE)
    details = fetch(dataset(Local(tmp_path / "mine.zip")), folder, tmp_path / "downloads")
    assert details["files"] == ["u.data"]
    assert (tmp_path / "mine.zip").exists()
