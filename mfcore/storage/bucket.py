"""`Bucket`: files in an object store, under a URL such as `s3://bucket/folder`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mfcore.errors import SourceUnavailable, UsageError, first_line
from mfcore.storage.files import is_full

__all__ = ["Bucket", "is_url"]

_BOTO = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}}
_OPTIONS: Mapping[str, dict[str, Any]] = {"s3": _BOTO, "s3a": _BOTO}
"""By themselves these clients would try for minutes."""
_TRIES = 2
_ANSWER_S, _SLOWEST = 20, 100_000
"""Seconds, and bytes per second, that writing may take: what waits for a silent store to say "go on" has no end."""


def is_url(text: str) -> bool:
    """Whether a setting is the URL of an object store, and not a path.

    >>> is_url("s3://shop/exports"), is_url("/srv/exports"), is_url("https://example.com/ratings.csv")
    (True, False, False)
    """
    return "://" in text and urlsplit(text).scheme not in ("http", "https")


class Bucket:
    """A folder of a store that fsspec knows, or one file of it. Each file appears whole or not at all.

    The store's own client reads credentials and the endpoint from the environment, for S3
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL. All methods raise `SourceUnavailable`
    when the store does not answer or refuses, and `UsageError` when there is no client for it.

    Attributes:
        url: of the folder.

    >>> bucket = Bucket("memory://shop")
    >>> bucket.write("latest", "3-0f")
    >>> bucket.names(), bucket.read("latest"), (bucket / "exports").url
    (['latest'], '3-0f', 'memory://shop/exports')
    """

    def __init__(self, url: str) -> None:
        if "@" in urlsplit(url).netloc:
            raise UsageError("the URL of an object store holds no credentials: set them in the environment.")
        self.url = url.rstrip("/")
        self._above: Bucket | None = None

    def __truediv__(self, name: str) -> "Bucket":
        below = Bucket(f"{self.url}/{name}")
        below._above = self
        return below

    @cached_property
    def _place(self) -> tuple[Any, str]:
        """The client of the store, the same for all that lies below, and the path in it."""
        if self._above is not None:
            store, path = self._above._place
            return store, path + self.url.removeprefix(self._above.url)
        from fsspec.core import url_to_fs

        protocol = urlsplit(self.url).scheme
        try:
            options = {"skip_instance_cache": True, "use_listings_cache": False, **_OPTIONS.get(protocol, {})}
            store, path = url_to_fs(self.url, **options)
        except ImportError as error:
            extra = " Run `pip install mfcore[s3]`." if protocol in _OPTIONS else ""
            raise UsageError(f"cannot use {self.url}: {first_line(error)}.{extra}") from error
        except ValueError as error:
            raise UsageError(f"cannot use {self.url}: {first_line(error)}.") from error
        if protocol in _OPTIONS:
            store.retries = _TRIES
        return store, path

    @property
    def _path(self) -> str:
        return self._place[1]

    def files(self) -> dict[str, str]:
        """Path in the store of each file below, by its name as seen from here; of this very file, by its own."""
        with self._reached() as store:
            paths = sorted(path for path in store.find(self._path) if not path.endswith("/"))
        return {path.rpartition("/")[2] if path == self._path else path[len(self._path) + 1 :]: path for path in paths}

    def checksums(self, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, str]:
        """The files below whose names are wanted, each with what changes when its content does; of one file, its own.

        Each is asked for by itself.
        """
        files = self.files()
        with self._reached() as store:
            return {name: str(store.checksum(path)) for name, path in files.items() if wanted(name)}

    def names(self) -> list[str]:
        """Files and folders in this folder; none where it is not there."""
        with self._reached() as store:
            try:
                paths = store.ls(self._path, detail=False)
            except FileNotFoundError:
                paths = []
            return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._reached() as store:
            try:  # `isfile` takes a store that does not answer for one that has no such file
                return bool(store.info(f"{self._path}/{name}")["type"] == "file")
            except FileNotFoundError:
                return False

    def touched(self) -> float:
        """When a file below was written last, seconds since 1970; 0 where there is none."""
        with self._reached() as store:
            return max((store.modified(path).timestamp() for path in store.find(self._path)), default=0.0)

    def size(self) -> int:
        """Bytes of all files below."""
        with self._reached() as store:
            return int(store.du(self._path))

    def read(self, name: str) -> str:
        """The text in a file."""
        with self._reached() as store:
            return bytes(store.cat_file(f"{self._path}/{name}")).decode()

    def write(self, name: str, text: str) -> None:
        """Write a text into a file, in place of the one that is there."""
        with self._reached() as store:
            store.pipe_file(f"{self._path}/{name}", text.encode(), **self._limit(len(text)))

    def fetch(self, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Copy the files below whose names are wanted into a folder of this machine."""
        for name, path in self.files().items():
            if wanted(name):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with self._reached() as store:
                    store.get_file(path, str(target))

    def send(self, folder: Path, last: str) -> None:
        """Copy a folder of this machine here, the file named `last` when all others are there."""
        sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        for path in sorted(sizes, key=lambda path: (path.name == last, sizes[path], path)):
            with self._reached() as store:
                target = f"{self._path}/{path.relative_to(folder).as_posix()}"
                store.put_file(str(path), target, **self._limit(sizes[path]))

    def remove(self, first: str) -> None:
        """Remove all files below; the one named `first` goes before all others."""
        if self.has(first):
            with self._reached() as store:
                store.rm_file(f"{self._path}/{first}")
        if self.files():
            with self._reached() as store:
                store.rm(self._path, recursive=True)

    def _limit(self, n_bytes: int) -> dict[str, float]:
        """How long writing so many bytes may take, as a client takes it that knows of such a thing."""
        return {"timeout": _ANSWER_S + n_bytes / _SLOWEST} if urlsplit(self.url).scheme in _OPTIONS else {}

    @contextmanager
    def _reached(self) -> Iterator[Any]:
        store = self._place[0]
        try:
            yield store
        except FileNotFoundError as error:
            raise SourceUnavailable(f"{self.url} is not there: check the bucket and what follows.") from error
        except Exception as error:  # each client has errors of its own
            if is_full(error):
                raise
            reason = "it does not answer" if isinstance(error, TimeoutError) else first_line(error)
            raise SourceUnavailable(
                f"cannot use {self.url}: {reason}. Check the store, and its endpoint and credentials in the "
                "environment."
            ) from error
