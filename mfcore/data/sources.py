"""From a source to raw files: archives over HTTPS, a package's files, local paths, synthetic ratings."""

import logging
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mfcore.data.archives import expand, is_zip, unpack
from mfcore.data.catalog import Database, Dataset, Local, Objects, Source, Synthetic, Web, Wheel
from mfcore.data.database import content_of, extract
from mfcore.data.downloads import download, published_md5, verify
from mfcore.data.own import may_be_table
from mfcore.data.readers import recognize
from mfcore.data.synthetic import synthesize
from mfcore.errors import DataInvalid, SourceUnavailable, clause, counted, first_line
from mfcore.storage.bucket import Bucket
from mfcore.storage.files import locked, sha256_of

__all__ = ["fetch", "identity"]

logger = logging.getLogger(__name__)

_SYNTHETIC_VERSION = 1
_INDEX_TIMEOUT_S = 90
_MAX_FILES = 20_000
_MAX_BYTES = 64 << 30
_UNWANTED = re.compile(
    r"(genome-scores|genome-tags|tags)\.(csv|dat)|(readme|licen[cs]e|notice|changelog)(\..*)?|[._].*"
    r"|(?!init\d).*\.(md|rst|pdf|docx?|rtf|xml|html?|png|jpe?g|gif|py|pl|sh|r|ipynb|crc|md5|sha\d+|sql|log)",
    re.I,
)
"""Names of files that hold no ratings and no titles: what lies beside those, and what Spark marks folders with."""


def identity(dataset: Dataset) -> Any:
    """What makes the raw files of `dataset` what they are: checksums, the bytes, or the specification.

    Two data sets of equal identity have equal ratings, whichever source delivers them.

    >>> from mfcore.config import DatasetConfig
    >>> from mfcore.data.catalog import resolve
    >>> identity(resolve(DatasetConfig(name="synthetic:users=9,items=5,ratings=20")))["synthetic"]
    {'n_users': 9, 'n_items': 5, 'n_ratings': 20, 'seed': 0}

    Raises:
        SourceUnavailable: a local file can't be read, or an object store does not answer.
    """
    (source, *_) = dataset.sources
    if isinstance(source, Synthetic):
        return {"synthetic": asdict(source), "version": _SYNTHETIC_VERSION}
    if isinstance(source, Database):
        return {"rows": content_of(source)}
    if isinstance(source, Local):
        try:
            return {"files": {path.name: sha256_of(path) for path in _files(source.path)}}
        except OSError as error:
            raise SourceUnavailable(f"{source.path} cannot be read: {first_line(error)}") from error
    if isinstance(source, Objects):
        bucket = Bucket(source.url)
        return {"objects": bucket.checksums(_wanted_objects(bucket).__contains__)}
    archives = [source.checksum for source in dataset.sources if isinstance(source, Web)]
    return {"name": dataset.name, "checksums": dataset.checksums or archives}


def fetch(dataset: Dataset, folder: Path, downloads: Path, progress: bool = True) -> dict[str, Any]:
    """Fill `folder` with the raw files of `dataset`, from the first of its sources that delivers.

    What was downloaded before, or put there by hand, comes before any network.

    Args:
        dataset: what to fetch.
        folder: an empty folder.
        downloads: where verified archives are kept.
        progress: show a bar if the standard error is a terminal.

    Returns:
        For the manifest: source (which delivered), format (for `readers.read`), files, scale, origin.

    Raises:
        SourceUnavailable: no source delivered; the message says what was tried and why each failed.
        DataInvalid: there are files, but none of a known format.
    """
    deliveries = [(source, cached) for cached in (True, False) for source in dataset.sources]
    failures: list[str] = []
    for source, cached in deliveries:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
            try:
                origin = _deliver(source, Path(scratch), downloads, cached, progress)
                if origin is None:
                    continue
                for path in sorted(Path(scratch).iterdir()):
                    expand(path, f"{path.name} of {origin}" if len(dataset.sources) > 1 else origin)
                for name, digest in dataset.checksums.items():
                    if (Path(scratch) / name).exists():
                        verify(Path(scratch) / name, f"sha256:{digest}", f"{name} of {origin}")
            except SourceUnavailable as error:
                if not isinstance(source, Local | Objects | Database):  # of those, it is the error itself
                    logger.warning("%s", error)
                failures.append(clause(error))
                continue
            for path in Path(scratch).iterdir():
                path.rename(folder / path.name)
        for extra in dataset.extras:
            _try_extra(extra, folder, downloads, progress)
        if isinstance(source, Web | Wheel) and not cached:
            logger.info("%s. %s Please cite: %s", dataset.title, dataset.license, dataset.citation)
        return {
            "source": origin,
            "origin": dataset.title,
            "format": recognize(folder),
            "files": sorted(path.name for path in folder.iterdir()),
            "scale": asdict(dataset.scale) if dataset.scale else None,
            "not_rated": dataset.not_rated,
        }
    if len(failures) == 1 and isinstance(dataset.sources[0], Local | Objects | Database):
        raise SourceUnavailable(f"{failures[0]}.")
    by_hand = next((source.file for source in dataset.sources if isinstance(source, Web)), None)
    advice = f" Get {by_hand} ({dataset.homepage}) and put it into {downloads}." if by_hand else ""
    raise SourceUnavailable(f"{dataset.title} is not available. Tried: {'; '.join(failures)}.{advice}")


def _deliver(source: Source, folder: Path, downloads: Path, cached: bool, progress: bool) -> str | None:
    """Put the files of `source` into `folder` and say where they came from; None if there is nothing to try.

    With `cached`, only what lies among the downloads counts, without it only the source itself.
    """
    match source:
        case Local() | Objects() | Synthetic() | Database() if cached:
            return None
        case Database():
            return extract(source, folder / "ratings.parquet")
        case Local(path):
            return _copy(path, folder)
        case Objects(url):
            return _from_store(url, folder)
        case Synthetic(n_users, n_items, n_ratings, seed):
            synthesize(n_users, n_items, n_ratings, seed).frame.to_parquet(folder / "ratings.parquet", index=False)
            return "made here"
        case Web(url, checksum):
            archive = downloads / source.file
            with locked(archive):
                if cached and not archive.exists():
                    return None
                if cached:
                    verify(archive, checksum, str(archive))
                elif not archive.exists() or not _is_sound(archive, checksum):
                    download(url, archive, checksum or published_md5(url), progress=progress)
            if is_zip(archive):
                unpack(archive, folder, str(archive), _is_wanted)
            else:
                shutil.copyfile(archive, folder / archive.name)
            return str(archive) if cached else url
        case Wheel(requirement, members):
            return _from_index(requirement, members, folder, downloads, cached)


def _is_sound(archive: Path, checksum: str | None) -> bool:
    """Whether another process has downloaded the archive while this one waited for the lock."""
    try:
        verify(archive, checksum, str(archive))
    except SourceUnavailable:
        return False
    return checksum is not None


def _try_extra(extra: Web, folder: Path, downloads: Path, progress: bool) -> None:
    """Put the files of an archive beside the others, if it is available."""
    for cached in (True, False):
        try:
            if _deliver(extra, folder, downloads, cached, progress) is not None:
                return
        except SourceUnavailable as error:
            logger.warning("%s; going on without it", error)


def _from_index(requirement: str, members: dict[str, str], folder: Path, downloads: Path, cached: bool) -> str | None:
    """Take `members` out of a package's wheel, asking pip for it, whichever index it is set up with."""
    pattern = requirement.replace("==", "-") + "-*.whl"
    with locked(downloads / pattern.replace("*", "any")):
        if not cached:
            _ask_pip(requirement, pattern, downloads)
        wheel = next(iter(sorted(downloads.glob(pattern))), None)
        if wheel is None:
            return None
        paths = unpack(wheel, folder, wheel.name, members.__contains__)
    for member, digest in members.items():
        path = folder / Path(member).name
        if path not in paths:
            raise SourceUnavailable(f"{wheel.name}: refused, it holds no {member}")
        verify(path, f"sha256:{digest}", f"{member} of {wheel.name}")
    return str(wheel) if cached else f"package {requirement}"


def _ask_pip(requirement: str, pattern: str, downloads: Path) -> None:
    with tempfile.TemporaryDirectory(dir=downloads, prefix=".") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
        command += ["--no-input", "--retries", "1", "--timeout", "10", "--only-binary", ":all:", "--dest", scratch]
        try:
            done = subprocess.run(
                [*command, requirement], capture_output=True, text=True, errors="replace", timeout=_INDEX_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceUnavailable(f"package {requirement}: pip did not answer ({type(error).__name__})") from error
        wheel = next(Path(scratch).glob(pattern), None)
        if wheel is None:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
            raise SourceUnavailable(f"package {requirement}: {first_line(said[-1]) if said else 'pip found no wheel'}")
        wheel.replace(downloads / wheel.name)


def _copy(path: Path, folder: Path) -> str:
    """Copy a local file, the files of a folder, or the contents of a zip archive."""
    try:
        for file in _files(path):
            if file.suffix.lower() == ".zip":
                unpack(file, folder, str(file), _is_wanted)
            else:
                shutil.copyfile(file, folder / file.name)
    except OSError as error:
        raise SourceUnavailable(f"{path} cannot be read: {first_line(error)}") from error
    return str(path)


def _from_store(url: str, folder: Path) -> str:
    """Copy what lies in an object store, as if it were a file or a folder of this machine."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        copy = Path(scratch)
        bucket = Bucket(url)
        size = bucket.size()
        if size > _MAX_BYTES:
            raise SourceUnavailable(f"{url} holds {counted(size, 'byte')}, more than a data set should have")
        bucket.fetch(copy, _wanted_objects(bucket).__contains__)
        try:
            _copy(copy, folder)
        except (DataInvalid, SourceUnavailable) as error:
            raise type(error)(str(error).replace(str(copy), url)) from error
    return url


def _wanted_objects(bucket: Bucket) -> set[str]:
    """Those of the files in an object store that may matter, of which there has to be one."""
    names = bucket.files()
    if len(names) > _MAX_FILES:
        raise SourceUnavailable(
            f"{bucket.url} holds more than {counted(_MAX_FILES, 'file')}: give the folder of the data set"
        )
    wanted = {name for name in names if _is_wanted(name)}
    if not wanted:
        raise SourceUnavailable(f"{bucket.url} holds no ratings: check the bucket and the name.")
    return wanted


def _files(path: Path) -> list[Path]:
    """A file itself, or the files of a folder that may matter, looked at before any is opened.

    Raises:
        SourceUnavailable: it is a pipe or a device, or more than a data set should be.
        DataInvalid: it is empty. What the system shows as a file, but makes up as it is read, is so too.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        files = [path]
    elif stat.S_ISDIR(mode):
        files = _inside(path)
    else:
        raise SourceUnavailable(f"{path} is no regular file: give a file, or a folder of files")
    size = sum(file.stat().st_size for file in files)
    if size == 0:
        raise DataInvalid(f"{path} is empty: there should be a line of column names, then a line for each rating.")
    if size > _MAX_BYTES:
        raise SourceUnavailable(f"{path} holds {counted(size, 'byte')}, more than a data set should have")
    return files


def _inside(folder: Path, depth: int = 0) -> list[Path]:
    entries = []
    for entry in folder.iterdir():
        entries.append(entry)
        if len(entries) > _MAX_FILES:
            raise SourceUnavailable(
                f"{folder} holds more than {counted(_MAX_FILES, 'file')}: give the folder of the data set"
            )
    wanted = sorted(entry for entry in entries if _is_wanted(entry.name))
    if len(wanted) == 1 and wanted[0].is_dir() and depth < 3:  # as archives unpack
        return _inside(wanted[0], depth + 1)
    files = [entry for entry in wanted if entry.is_file() and entry.stat().st_size]
    folders = [entry.name for entry in wanted if entry.is_dir()]
    if folders and not files:
        raise DataInvalid(f"{folder} holds folders, such as {folders[0]}, and no files: give the folder of the files.")
    return [file for file in files if _may_matter(file.name)] or files


def _may_matter(name: str) -> bool:
    """Whether a file among others may be one of a data set, by its name."""
    plain = re.sub(r"\.(gz|bz2|xz|zstd?)$", "", name.lower())
    return may_be_table(plain) or plain.endswith((".zip", ".xls", ".item", ".inter", ".user", ".html"))


def _is_wanted(name: str) -> bool:
    *folders, file = name.replace("\\", "/").split("/")
    return not any(folder.startswith("__MACOSX") for folder in folders) and _UNWANTED.fullmatch(file) is None
