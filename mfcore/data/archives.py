"""Archives and compressed files unpacked with suspicion: nothing leaves the folder, nothing grows beyond measure."""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pyarrow as pa

from mfcore.errors import SourceUnavailable, counted, first_line

__all__ = ["expand", "is_zip", "unpack"]

_MAX_FILES = 10_000
_MAX_BYTES = 16 << 30
_MAX_RATIO = 200
_SMALL = 64 << 20
"""Below this size the ratio of packed to unpacked says nothing."""
_BLOCK = 1 << 20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz"}
"""How compressed files begin."""
_SUFFIXES = (".gz", ".gzip", ".bz2", ".zst", ".zstd", ".xz")


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive and no spreadsheet, which is one as well."""
    return path.suffix.lower() != ".xlsx" and zipfile.is_zipfile(path)


def expand(path: Path, origin: str) -> Path:
    """Put what a compressed file holds (gz, bz2, xz, zst, told by its first bytes) in its place.

    Returns:
        The file that is there now, without the suffix of the compression.

    Raises:
        SourceUnavailable: it is damaged, or unpacks to more than any data set.
    """
    with path.open("rb") as file:
        head = file.read(6)
    codec = next((codec for magic, codec in _COMPRESSED.items() if head.startswith(magic)), None)
    if codec is None:
        return path
    target = path.with_name(path.stem if path.suffix.lower() in _SUFFIXES else f"{path.name}.unpacked")
    if target.exists():
        raise SourceUnavailable(f"{origin}: refused, it is there packed and unpacked")
    limit, size = max(_SMALL, _MAX_RATIO * path.stat().st_size), 0
    try:
        with (
            lzma.LZMAFile(path) if codec == "xz" else pa.CompressedInputStream(str(path), codec) as source,
            target.open("xb") as unpacked,
        ):
            while block := source.read(_BLOCK):
                size += len(block)
                if size > min(limit, _MAX_BYTES):
                    raise SourceUnavailable(f"{origin}: refused, it unpacks to more than {counted(size, 'byte')}")
                unpacked.write(block)
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        raise SourceUnavailable(f"{origin}: refused, not a sound {codec} file ({first_line(error)})") from error
    path.unlink()
    return target if path.suffix.lower() in _SUFFIXES else target.rename(path)


def unpack(archive: Path, folder: Path, origin: str, wanted: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """Unpack the files of a zip archive straight into `folder`, without their folders.

    Args:
        archive: the zip.
        folder: where its files go.
        origin: what to call the archive in messages.
        wanted: by its path in the archive, whether a file is unpacked.

    Raises:
        SourceUnavailable: it is damaged, or made to do harm: paths that escape, links, two
            files of one name, sizes beyond all measure or other than declared.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.is_dir() and wanted(member.filename)]
            _refuse_harm(members, archive.stat().st_size, origin)
            return [_unpack(packed, member, folder, origin) for member in members]
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        raise SourceUnavailable(f"{origin}: refused, not a sound zip archive ({first_line(error)})") from error


def _refuse_harm(members: list[zipfile.ZipInfo], packed_size: int, origin: str) -> None:
    names: set[str] = set()
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in member.filename:
            raise SourceUnavailable(f"{origin}: refused, its file {member.filename!r} would leave the folder")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise SourceUnavailable(f"{origin}: refused, {member.filename!r} is a link")
        if path.name in names:
            raise SourceUnavailable(f"{origin}: refused, it holds two files named {path.name!r}")
        names.add(path.name)
    size = sum(member.file_size for member in members)
    if len(members) > _MAX_FILES or size > _MAX_BYTES or (size > _SMALL and size > _MAX_RATIO * packed_size):
        raise SourceUnavailable(
            f"{origin}: refused, {counted(packed_size, 'byte')} that unpack to {size:,} in "
            f"{counted(len(members), 'file')} are no data set"
        )


def _unpack(packed: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, origin: str) -> Path:
    path = folder / PurePosixPath(member.filename.replace("\\", "/")).name
    left = member.file_size
    with packed.open(member) as source, path.open("xb") as target:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise SourceUnavailable(f"{origin}: refused, {member.filename!r} is longer than it declares")
            target.write(block)
    return path
