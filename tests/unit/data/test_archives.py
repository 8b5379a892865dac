import io
import struct
import zipfile
from pathlib import Path

import pytest

from mfcore.data import archives
from mfcore.data.archives import unpack
from mfcore.errors import SourceUnavailable


def pack(path: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def test_files_come_out_of_their_folders(tmp_path, folder):
    archive = pack(tmp_path / "a.zip", {"x/y/one.csv": b"1", "x/two.csv": b"2", "x/": b""})
    assert {path.name: path.read_bytes() for path in unpack(archive, folder, "a.zip")} == {
        "one.csv": b"1",
        "two.csv": b"2",
    }


def test_only_wanted_files_are_unpacked(tmp_path, folder):
    archive = pack(tmp_path / "a.zip", {"one.csv": b"1", "../two.csv": b"2"})
    assert [path.name for path in unpack(archive, folder, "a.zip", lambda name: name == "one.csv")] == ["one.csv"]


@pytest.mark.parametrize(
    "name", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "..\\out.csv", "C:\\out.csv", "C:out"]
)
def test_no_path_leaves_the_folder(tmp_path, folder, name):
    with pytest.raises(SourceUnavailable, match="would leave the folder"):
        unpack(pack(tmp_path / "a.zip", {name: b"x"}), folder, "a.zip")
    assert list(folder.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "inside"]


def test_links_and_doubles_are_refused(tmp_path, folder):
    with pytest.raises(SourceUnavailable, match="is a link"):
        unpack(pack(tmp_path / "a.zip", {}, link="u.data"), folder, "a.zip")
    with pytest.raises(SourceUnavailable, match=r"two files named 'x.csv'"):
        unpack(pack(tmp_path / "a.zip", {"a/x.csv": b"1", "b/x.csv": b"2"}), folder, "a.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, folder, monkeypatch):
    archive = pack(tmp_path / "a.zip", {"zeros.csv": bytes(archives._SMALL + 1)})
    with pytest.raises(SourceUnavailable, match="are no data set"):
        unpack(archive, folder, "a.zip")
    monkeypatch.setattr(archives, "_MAX_FILES", 2)
    with pytest.raises(SourceUnavailable, match="in 3 files are no data set"):
        unpack(pack(tmp_path / "b.zip", {"1": b"", "2": b"", "3": b""}), folder, "b.zip")
    assert list(folder.iterdir()) == []


def test_a_file_longer_than_it_declares_is_refused(tmp_path, folder):
    raw = bytearray(pack(tmp_path / "a.zip", {"x.csv": b"a" * 5000}).read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    raw[central + 24 : central + 28] = struct.pack("<I", 100)
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(SourceUnavailable, match="refused"):
        unpack(tmp_path / "a.zip", folder, "a.zip")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 100


def test_every_cut_and_every_flipped_byte_is_refused_or_harmless(tmp_path, folder):
    whole = pack(tmp_path / "a.zip", {"x.csv": b"user_id,item_id,rating\n1,2,3\n" * 5}).read_bytes()
    mutants = [whole[:end] for end in range(len(whole))]
    mutants += [whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :] for at in range(len(whole))]
    for number, mutant in enumerate(mutants):
        target = folder / str(number)
        target.mkdir()
        (tmp_path / "m.zip").write_bytes(mutant)
        try:
            unpack(tmp_path / "m.zip", target, "m.zip")
        except SourceUnavailable as error:
            assert "m.zip: refused" in str(error)
        for path in target.iterdir():
            assert path.stat().st_size <= 1000


def test_an_encrypted_archive_is_refused(tmp_path, folder):
    buffer = io.BytesIO(pack(tmp_path / "a.zip", {"x.csv": b"1"}).read_bytes())
    raw = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + offset] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(SourceUnavailable, match="encrypted"):
        unpack(tmp_path / "a.zip", folder, "a.zip")
